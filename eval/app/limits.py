"""What a visitor of the page may ask for."""

from __future__ import annotations

from dataclasses import dataclass

MAX_DRAWINGS = 16
"""Largest number of drawings at once."""


@dataclass(frozen=True)
class Limits:
    """Limits of one running page.

    Attributes:
        max_bytes: Size of an upload.
        max_seconds: Length of a recording.
        upload_seconds: Time in which an upload, or any other request with a body, has to arrive.
        waiting_bytes: Bytes of all uploads together that are on their way; they are held in memory.
        queue_size: Visitors who wait for drawings; more are turned away.
        max_sessions: Visits that are remembered for their sliders, about half a megabyte each; then the oldest is
            forgotten.
        keep_seconds: Time after which what is left of a visit is deleted: an upload that nobody drew, and what the page
            remembers for its sliders.
    """

    max_bytes: int = 25_000_000
    max_seconds: float = 60.0
    upload_seconds: float = 60.0
    waiting_bytes: int = 250_000_000
    queue_size: int = 40
    max_sessions: int = 100
    keep_seconds: float = 600.0
