"""Labels and reporter channels to readouts: measure, tell states, compare."""
