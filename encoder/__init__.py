"""Encoders of voices and faces into the space of face features, their losses and training."""

import data  # noqa: F401  (sets how OpenMP threads wait, before torch is loaded)
