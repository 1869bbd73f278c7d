"""What is promised, measured beside peers in the same run. Not part of the installed package."""
