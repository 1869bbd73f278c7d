"""`python -m hdmatt`: the command line, where the entry point `hdmatt` is not on the path."""

import sys

from hdmatt.cli.main import main

if __name__ == "__main__":  # processes that are spawned import this module, too
    sys.exit(main())
