"""The same network, computed faster. Knows nothing about pictures."""
