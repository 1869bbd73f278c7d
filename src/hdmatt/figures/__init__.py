"""Pictures that explain a matte. Knows nothing about scores or the command line."""
