"""How long, in how much memory, how near to the machine's peak. Knows nothing about scores or training."""
