"""Personas: made-up people whose faces and voices have causes in common, so that the best possible score is known."""
