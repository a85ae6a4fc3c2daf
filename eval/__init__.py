"""Retrieval, image quality and attributes, measured as docs/PROTOCOL.md says, into one report."""
