"""The paper's network in torch. Knows nothing about files (but for weights), pictures larger than a patch, or the command line."""
