"""Pictures, trimaps and colours, read and written. NumPy only; knows nothing about patches or networks."""
