"""Losses between voices and faces: pure functions of rows, each the mean over them.

Rows of the first argument come from voices, those of the second from the faces of the same people, in the
same order.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def feature_l1(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of two face features, summed over the feature's entries.

    The first term of Speech2Face (Oh et al. 2019, equation 1) compares activations of its face decoder's
    first layer; here it is the feature itself, so no decoder has to be trained before the encoder.

    Args:
        predicted: [N, D].
        target: [N, D].

    Returns:
        Scalar >= 0.
    """
    return (predicted - target).abs().sum(dim=1).mean()


def normalised_l2(predicted: Tensor, target: Tensor) -> Tensor:
    """Squared distance of two features on the unit sphere, the second term of Speech2Face: 2 - 2 cos.

    Args:
        predicted: [N, D], any length but zero.
        target: [N, D].

    Returns:
        Scalar in [0, 4].
    """
    return (F.normalize(predicted, dim=1) - F.normalize(target, dim=1)).square().sum(dim=1).mean()


def cosine_distance(predicted: Tensor, target: Tensor) -> Tensor:
    """1 - cos, half of `normalised_l2`.

    Args:
        predicted: [N, D].
        target: [N, D].

    Returns:
        Scalar in [0, 2].
    """
    return (1 - F.cosine_similarity(predicted, target, dim=1)).mean()


def distillation(predicted_logits: Tensor, target_logits: Tensor, temperature: float = 2.0) -> Tensor:
    """Cross entropy -sum_i p_i(target) log p_i(predicted), p = softmax(logits / temperature) (Hinton 2015).

    The third term of Speech2Face, where logits are those of VGG-Face's classifier. Other face networks come
    without one; see `prototype_logits`.

    Args:
        predicted_logits: [N, C].
        target_logits: [N, C]; no gradient flows into it.
        temperature: 2 in the paper.

    Returns:
        Scalar >= the entropy of the target.
    """
    target = F.softmax(target_logits.detach() / temperature, dim=1)
    return -(target * F.log_softmax(predicted_logits / temperature, dim=1)).sum(dim=1).mean()


def prototype_logits(features: Tensor, prototypes: Tensor, scale: float = 16.0) -> Tensor:
    """The analogue of a face classifier's logits: scaled cosines to the mean feature of each person.

    ArcFace networks are trained with such a classifier (weights are class centres on the sphere, scale 64),
    so this is the nearest thing to one on the people at hand.

    Args:
        features: [N, D].
        prototypes: [C, D], one row an identity.
        scale: What a cosine is multiplied with.

    Returns:
        [N, C] in [-scale, scale].
    """
    return scale * F.normalize(features, dim=1) @ F.normalize(prototypes, dim=1).T


def info_nce(voice: Tensor, face: Tensor, temperature: float, identities: Tensor | None = None) -> Tensor:
    """Symmetric contrastive loss (van den Oord 2018, Radford 2021): find the face by the voice, and back.

    Args:
        voice: [N, E] unit vectors.
        face: [N, E] unit vectors.
        temperature: What similarities are divided by.
        identities: [N]; rows of the same person are not each other's negatives. None: all are different
        people.

    Returns:
        Scalar >= 0, log N where nothing is known.
    """
    similarity = voice @ face.T / temperature
    if identities is not None:
        same = identities[:, None] == identities[None, :]
        same.fill_diagonal_(False)
        similarity = similarity.masked_fill(same, float("-inf"))
    target = torch.arange(len(voice), device=voice.device)
    return (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target)) / 2


def am_softmax(cosines: Tensor, classes: Tensor, margin: float = 0.35, scale: float = 30.0) -> Tensor:
    """Additive-margin softmax over training identities (Wang et al. 2018, equation 6).

    Args:
        cosines: [N, C] of embeddings to class centres.
        classes: [N] int64, the right class of each row.
        margin: Taken from the cosine of the right class.
        scale: What cosines are multiplied with after that.

    Returns:
        Scalar >= 0.
    """
    penalty = margin * F.one_hot(classes, cosines.shape[1]).to(cosines.dtype)
    return F.cross_entropy(scale * (cosines - penalty), classes)
