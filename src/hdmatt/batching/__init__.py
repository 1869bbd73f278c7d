"""Many pictures: found, paired with trimaps, shared out, recorded. Knows nothing about patches or the command line."""
