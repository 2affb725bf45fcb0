"""Images as the network takes them: normalised, in tiles, stitched."""
