"""The machine: memory, files, processes. Knows nothing about pictures."""
