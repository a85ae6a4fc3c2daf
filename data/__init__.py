"""What a clip is, where clips come from, how they are stored and read."""
