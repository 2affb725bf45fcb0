#!/bin/sh
# All experiments of the paper: sh run_experiments.sh MASKS OUT [more options of `cellular reproduce`]
set -eu
if [ "$#" -lt 2 ]; then
    echo "usage: sh run_experiments.sh MASKS OUT [--images DIR] [--models cyto cyto2] [--epochs 500]" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
# The virtual environment that `make` builds, where there is one; otherwise the python on the PATH.
python="$here/.venv/bin/python"
[ -x "$python" ] || python=python3
exec "$python" -m cellular.cli.main reproduce "$@"
