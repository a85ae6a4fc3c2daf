"""Retrieval, image quality and attributes, measured as docs/protocol.md says, into one report."""

import data  # noqa: F401  (sets how OpenMP threads wait, before torch is loaded)
