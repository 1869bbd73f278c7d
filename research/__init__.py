"""Studies, training on a borrowed GPU, and the log of what was tried. Not part of the installed package."""
