"""Fields on disk: plates, images, masks and archives; reading and writing."""
