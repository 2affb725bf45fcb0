"""The live page: a run or a plate in the browser, on this machine alone."""
