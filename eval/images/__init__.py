"""Image quality: distances between real faces and drawings."""
