"""Recordings and pictures: decoding them, and the bytes that they are stored as."""
