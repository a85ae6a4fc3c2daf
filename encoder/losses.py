"""Losses between voices and faces: pure functions, each a mean over the rows of its arguments.

Rows of the first argument come from voices, rows of the second from faces of the same people in the same order.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def feature_l1(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of two face features, summed over the feature's entries.

    The first term of Speech2Face (Oh et al. 2019, equation 1) compares activations of its face decoder's
    first layer; here it compares the features, so that no decoder has to be trained before the encoder.

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
        predicted: [N, D], not zero.
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

    The third term of Speech2Face, where logits are those of VGG-Face's classifier. Other face networks have no
    classifier; see `prototype_logits`.

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
    """Logits in place of a face classifier's: scaled cosines to the mean feature of each person.

    ArcFace networks are trained with a classifier of this form (class centres on the sphere, scale 64); here the mean
    features of the training people are the centres.

    Args:
        features: [N, D].
        prototypes: [C, D] mean feature of each person.
        scale: Factor of the cosines.

    Returns:
        [N, C] in [-scale, scale].
    """
    return scale * F.normalize(features, dim=1) @ F.normalize(prototypes, dim=1).T


def info_nce(voice: Tensor, face: Tensor, temperature: float, identities: Tensor | None = None) -> Tensor:
    """Symmetric contrastive loss (van den Oord 2018, Radford 2021): voice to face and face to voice.

    Args:
        voice: [N, E] unit vectors.
        face: [N, E] unit vectors.
        temperature: Divisor of the similarities.
        identities: [N]; rows of the same person are no negatives of each other. None if all people differ.

    Returns:
        Scalar >= 0, log N for equal similarities.
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
        classes: [N] int64, true class of each row.
        margin: Margin subtracted from the cosine of the true class.
        scale: Factor of the cosines after that.

    Returns:
        Scalar >= 0.
    """
    penalty = margin * F.one_hot(classes, cosines.shape[1]).to(cosines.dtype)
    return F.cross_entropy(scale * (cosines - penalty), classes)


def energy_score(samples: Tensor, targets: Tensor) -> Tensor:
    """Energy score of sampled distributions, E|x - t| - 1/2 E|x - x'| (Gneiting and Raftery 2007, equation 21).

    It is least, in expectation, where samples have the distribution of the targets. The estimate has no bias.

    Args:
        samples: [N, S, D] with S >= 2 samples of each distribution.
        targets: [N, T, D] observations of it.

    Returns:
        [N].
    """
    num_samples = samples.shape[1]
    among = _distances(samples, samples) * (1 - torch.eye(num_samples, device=samples.device))
    spread = among.sum(dim=(1, 2)) / (num_samples * (num_samples - 1))
    return _distances(samples, targets).mean(dim=(1, 2)) - spread / 2


def _distances(first: Tensor, second: Tensor) -> Tensor:
    """[N, S, T] Euclidean distances; the gradient at 0 is finite, which that of torch.cdist is not."""
    squares = first.square().sum(dim=2)[:, :, None] + second.square().sum(dim=2)[:, None]
    return (squares - 2 * first @ second.transpose(1, 2)).clamp_min(1e-9).sqrt()
