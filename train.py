"""The published entry point: the same as `cellular train`."""

import sys

from cellular.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
