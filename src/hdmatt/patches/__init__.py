"""Where patches lie and how they become one picture again. NumPy only; knows nothing about networks or files."""
