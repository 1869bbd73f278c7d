"""What the whole picture, made small, shows and a patch cannot see (ours, not the paper's). NumPy only; knows nothing about networks."""
