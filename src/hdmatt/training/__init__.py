"""From samples to weights. Knows nothing about the command line."""
