"""Per-cell PNG masks in and out, put together into label images, and splits."""
