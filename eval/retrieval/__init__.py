"""Voice-to-face retrieval."""
