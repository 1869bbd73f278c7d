"""Kinds of files, read and written, and what OpenImageIO leaves undone in them. Knows nothing about mattes."""
