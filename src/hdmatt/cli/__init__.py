"""The command line. Nothing imports it; knows nothing about pixels."""
