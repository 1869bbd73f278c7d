"""What the whole picture shows at low resolution and a patch cannot see. NumPy only; knows nothing about networks."""
