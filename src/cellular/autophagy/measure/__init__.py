"""Per-cell intensities, shapes and puncta of one field."""
