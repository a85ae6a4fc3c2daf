"""What the discriminators of the published methods give."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class DiscriminatorOutput:
    """Outputs for a batch of images.

    Attributes:
        score: [N, ...] logits of real against drawn, one for each image or for each patch of it.
        identity: [N, P] logits of the training people; None without a classifier.
        identity_score: [N] logits of real against drawn by the network that also tells people apart, where the method
            trains it beside the one of `score`; else None.
        maps: Inner feature maps [N, C, h, w] for feature matching; empty where the method has none.
    """

    score: Tensor
    identity: Tensor | None = None
    identity_score: Tensor | None = None
    maps: tuple[Tensor, ...] = ()
