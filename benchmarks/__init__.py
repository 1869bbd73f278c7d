"""What is promised, measured beside peers in the same run; the results are kept in results/. Not part of the installed package."""
