"""``python -m cellular``: the command line, for those who start it by a module's name, as torchrun does."""

import sys

from cellular.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
