"""A label image: checks, cells, regions, outlines, diameter, enlarging."""
