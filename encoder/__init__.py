"""Speech to the face-feature space: the voice encoder, the face head, their losses and their training."""
