"""The published archives: what there is, fetched safely and read without unpacking."""
