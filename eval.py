"""The published entry point: the same as `cellular evaluate`."""

import sys

from cellular.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
