"""The kernels of flows on a CPU."""
