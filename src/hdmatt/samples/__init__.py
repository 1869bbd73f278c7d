"""Training samples, made on the fly. No torch; knows nothing about networks."""
