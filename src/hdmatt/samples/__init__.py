"""Training samples, made on the fly. NumPy only; knows nothing about networks."""
