"""Pages as one folder: no network, no server."""
