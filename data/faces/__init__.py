"""Face detection, alignment, and face networks."""
