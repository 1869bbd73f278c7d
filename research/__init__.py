"""Studies, training on a GPU in slices, and the log of what was tried. Not part of the installed package."""
