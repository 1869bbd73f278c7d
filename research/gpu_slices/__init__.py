"""Training on a GPU in slices of minutes: packs of pictures in, shards of the state out. Not part of the installed package."""
