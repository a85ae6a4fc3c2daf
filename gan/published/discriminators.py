"""Discriminators of the published methods by name."""

from __future__ import annotations

from typing import Literal

from torch import nn

DiscriminatorName = Literal["wen", "wav2pix", "sf2f"]


def build_discriminator(name: DiscriminatorName, feature_size: int, image_size: int, num_people: int) -> nn.Module:
    """Build a discriminator that maps images and conditions to a `DiscriminatorOutput`.

    Args:
        name: Method that it was published with.
        feature_size: C, length of the condition.
        image_size: Side S of the images.
        num_people: P, number of training people, for a classifier of identities.
    """
    if name == "wen":
        from gan.published.wen import WenDiscriminator

        return WenDiscriminator(feature_size, image_size, num_people)
    if name == "wav2pix":
        from gan.published.wav2pix import Wav2PixDiscriminator

        return Wav2PixDiscriminator(feature_size, image_size, num_people)
    from gan.published.sf2f import SF2FDiscriminator

    return SF2FDiscriminator(feature_size, image_size, num_people)
