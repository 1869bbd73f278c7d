"""Methods x pictures -> scores. Knows nothing about training or the command line."""
