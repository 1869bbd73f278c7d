"""Trimaps: made from masks, and checked. Knows nothing about scores, training or the command line."""
