"""Personas: made-up people whose faces and voices share part of their causes, so that the best result is known."""
