"""Face feature and noise to an image: generator, discriminator, losses, judges and their training."""
