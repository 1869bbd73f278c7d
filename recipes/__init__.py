"""Pictures to train on, and the runs that made the weights. Not part of the installed package."""
