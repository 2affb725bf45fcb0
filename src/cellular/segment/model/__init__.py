"""The network, its weights, and models by name."""
