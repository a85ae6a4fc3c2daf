"""Sharing of models: cards in the hub's format, and what may go out."""
