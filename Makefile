# Two commands on a fresh clone: `make demo` and `make test`. Needs Python >= 3.10 and make, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-browser check-long check-cluster bench lint types docs

demo: $(VENV)/.installed
	$(BIN)/cellular demo --out demo

# Two processes of one thread each: two of two threads wait for each other.
test: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-browser: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m browser -rs

# A sample of what may be checked; CELLULAR_LONG=all kills every verb at every change to the disk (hours).
check-long: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long -n 2 --dist loadfile

# Slurm on this machine for a few minutes; needs root and: apt-get install slurmctld slurmd munge
check-cluster: $(VENV)/.installed-test
	$(BIN)/python tests/cluster/check.py

bench: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/deptry src

types: $(VENV)/.installed-lint
	$(BIN)/mypy

docs: $(VENV)/.installed-lint
	$(BIN)/mkdocs build --quiet

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch goes first, alone: what follows then finds its requirement met and asks for no other build.
$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) torch
	$(PIP) --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) --editable ".[test]"
	touch $@

$(VENV)/.installed-lint: $(VENV)/.installed
	$(PIP) --editable ".[lint]"
	touch $@
