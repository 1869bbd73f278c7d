"""Picture and trimap in, the rows of a matte out. Knows nothing about training, scores or the command line."""
