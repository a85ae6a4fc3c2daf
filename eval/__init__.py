"""Retrieval, image quality and attributes, measured as docs/protocol.md says, into one report."""
