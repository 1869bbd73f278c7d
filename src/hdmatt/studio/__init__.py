"""Painting a trimap while the matte follows, in Python and in the browser. Knows nothing about the command line."""
