"""Face feature and noise to an image: generator, discriminator, losses and training."""

import data  # noqa: F401  (sets how OpenMP threads wait, before torch is loaded)
