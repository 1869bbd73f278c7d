"""The paper's network in torch. Knows nothing about files (but for weights), whole pictures or the command line."""
