"""Treatments compared replicate by replicate."""
