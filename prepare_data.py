"""The published entry point: the same as `cellular prepare`."""

import sys

from cellular.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["prepare", *sys.argv[1:]]))
