"""What comes in and goes out: pictures, trimaps, colours. NumPy only; knows nothing about patches or networks."""
