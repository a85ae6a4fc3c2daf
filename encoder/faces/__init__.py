"""The own face recognition network: its training, export and verification."""
