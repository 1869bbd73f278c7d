"""Encodings of colours, how colours mix, and the foreground's. Knows nothing about kinds of files."""
