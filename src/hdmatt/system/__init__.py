"""The machine: memory, files and processes. Knows nothing about pictures."""
