"""Training on a GPU in slices of minutes. Not part of the installed package."""
