"""Pictures, trimaps and colours, read and written. No torch; knows nothing about patches or networks."""
