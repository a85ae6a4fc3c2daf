"""Finding and aligning faces, and the networks that turn them into identity features."""
