"""Fit of a sampler: covariances in closed form, then a small network by the energy score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from encoder.canonical import covariance
from encoder.losses import energy_score
from encoder.sampler import FeatureSampler

# Ridge of the whitening of face features, in units of their mean variance: without one, directions in which faces
# hardly differ count as much as sex does. Chosen on personas and real people: docs/results/variety.md.
_FACE_RIDGE = 0.3
_MIN_PEOPLE = 50  # fewer teach the network nothing: the noise stays Gaussian
_STEPS = 1500
_BATCH = 512
_SAMPLES = 4
_TARGETS = 4
_LEARNING_RATE = 6e-3
_WARMUP_STEPS = 50
_SCORED_SAMPLES = 16


@dataclass(frozen=True)
class VoicedPeople:
    """What a sampler learns from: predictions and true features of people with voice and face.

    Attributes:
        predicted: [P, D] of each of N people the features that are regressed from the recordings, for training by
            regressions that did not see the person (`encoder.crossfit`).
        true: [F, D] true features of the same people, one for each picture.
        person_of_predicted: [P] int64 in [0, N), sorted.
        person_of_true: [F] int64 in [0, N), sorted.
    """

    predicted: Tensor
    true: Tensor
    person_of_predicted: Tensor
    person_of_true: Tensor

    @classmethod
    def collect(
        cls,
        people: Sequence[int],
        predicted: Tensor,
        predicted_identity: NDArray[np.int64],
        true: Tensor,
        true_identity: NDArray[np.int64],
    ) -> VoicedPeople:
        """Choose and sort the rows of some identities.

        Args:
            people: The identities, each with a voice and a face.
            predicted: [*, D] with the identity of each row.
            predicted_identity: [*].
            true: [*, D], likewise.
            true_identity: [*].
        """
        place = {identity: number for number, identity in enumerate(people)}

        def rows(identities: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
            numbers = torch.tensor([place.get(int(identity), -1) for identity in identities], dtype=torch.int64)
            order = torch.argsort(numbers, stable=True)
            order = order[numbers[order] >= 0]
            return order, numbers[order]

        chosen, owners = rows(predicted_identity)
        true_chosen, true_owners = rows(true_identity)
        return cls(predicted[chosen], true[true_chosen], owners, true_owners)

    def __len__(self) -> int:
        return int(self.person_of_predicted[-1]) + 1


def fit_sampler(sampler: FeatureSampler, people: VoicedPeople, all_faces: Tensor, generator: torch.Generator) -> None:
    """Fit a sampler.

    Noise gets the covariance of the residuals t - f of true and regressed feature. Its first directions are those of
    which voices tell most: in coordinates in which faces have unit covariance, the directions in which regressed
    features vary most (as in a canonical correlation analysis). In these directions the network is trained by the
    energy score (Gneiting and Raftery 2007), a proper score: it is least for the true conditional distribution.

    Args:
        sampler: Changed in place; its network must be untrained.
        people: Predictions and true features of the training people.
        all_faces: [M, D] true features of all training faces, also of people without a voice.
        generator: Random generator on the CPU.
    """
    mean = all_faces.double().mean(dim=0)
    values, vectors = torch.linalg.eigh(covariance(all_faces.double()))
    spread = values.clamp_min(0) + _FACE_RIDGE * values.clamp_min(0).mean().clamp_min(1e-12)
    means = _person_means(people.predicted.double(), people.person_of_predicted)
    _, rotation = torch.linalg.eigh(covariance(means @ (vectors * spread.rsqrt())))
    to_coordinates = (vectors * spread.rsqrt()) @ rotation.flip(1)  # the most telling direction first
    from_coordinates = (vectors * spread.sqrt()) @ rotation.flip(1)

    second_moment = to_coordinates.T @ _residual_moment(people, mean) @ to_coordinates
    jitter = 1e-6 * second_moment.diagonal().mean().clamp_min(1e-12) * torch.eye(len(second_moment)).double()
    root = torch.linalg.cholesky(second_moment + jitter)
    telling = to_coordinates[:, : sampler.condition_size]
    size = (means @ telling).std(dim=0, correction=0).clamp_min(1e-6)
    sampler.condition_mean.copy_(means.mean(dim=0))
    sampler.condition_basis.copy_(telling / size)
    sampler.residual_root.copy_((from_coordinates @ root).T)
    if len(people) >= _MIN_PEOPLE:
        own_root = root[: sampler.condition_size, : sampler.condition_size]
        _train_network(sampler, people, telling.float(), own_root.float(), generator)


def _train_network(
    sampler: FeatureSampler, people: VoicedPeople, telling: Tensor, root: Tensor, generator: torch.Generator
) -> None:
    """Train the network on telling coordinates: [D, C] basis, and [C, C] root of the residuals' covariance."""
    device = sampler.condition_mean.device
    conditions = sampler.condition(people.predicted.to(device)).cpu()
    predicted, true = people.predicted @ telling, people.true @ telling
    choose_voice, choose_face = (_Choice(owners) for owners in (people.person_of_predicted, people.person_of_true))
    network = sampler.network.cpu().requires_grad_(True)  # so small that a GPU would wait for the CPU
    optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / _WARMUP_STEPS) * (0.5 + 0.5 * np.cos(np.pi * step / _STEPS))
    )
    for _ in tqdm(range(_STEPS), desc="fitting the sampler", disable=None, delay=2, leave=False):
        persons = torch.randint(len(people), (_BATCH,), generator=generator)
        voices = choose_voice(persons, 1, generator)[:, 0]
        targets = true[choose_face(persons, _TARGETS, generator)]
        noise = torch.randn(_BATCH * _SAMPLES, sampler.condition_size, generator=generator)
        shaped = sampler.shape_noise(conditions[voices].repeat_interleave(_SAMPLES, dim=0), noise)
        samples = predicted[voices][:, None] + (shaped @ root.T).unflatten(0, (_BATCH, _SAMPLES))
        loss = energy_score(samples, targets).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.requires_grad_(False).to(device)


@torch.no_grad()
def score_sampler(
    sampler: FeatureSampler, people: VoicedPeople, face_mean: Tensor, generator: torch.Generator
) -> dict[str, float]:
    """Score a sampler on people it was not fitted to.

    Args:
        sampler: Fitted sampler.
        people: Predictions and true features of held-out people.
        face_mean: [D] mean true feature of training people, by which cosines are centred.
        generator: Random generator on the CPU.

    Returns:
        `sampler/energy_score` beside `sampler/energy_score_gaussian` (without the network) and
        `sampler/energy_score_regressed` (without noise), less is better; `sampler/cosine_samples`, of two samples of a
        voice, and `sampler/cosine_true`, of a sample and a true feature of the speaker: equal when calibrated.
    """
    device = sampler.condition_mean.device
    scores: dict[str, list[float]] = {name: [] for name in ("score", "gaussian", "regressed", "samples", "true")}
    for feature, person in zip(people.predicted, people.person_of_predicted, strict=True):
        true = people.true[people.person_of_true == person][None]
        noise = torch.randn(_SCORED_SAMPLES, sampler.noise_size, generator=generator).to(device)
        repeated = feature.to(device).expand(_SCORED_SAMPLES, -1)
        samples = sampler(repeated, noise).cpu()[None]
        gaussian = F.normalize(repeated + noise @ sampler.residual_root, dim=1).cpu()[None]
        scores["score"].append(float(energy_score(samples, true)))
        scores["gaussian"].append(float(energy_score(gaussian, true)))
        scores["regressed"].append(float(energy_score(feature.expand(1, 2, -1), true)))
        units, true_units = F.normalize(samples[0] - face_mean, dim=1), F.normalize(true[0] - face_mean, dim=1)
        pairs = units @ units.T
        scores["samples"].append(float(pairs.sum() - pairs.trace()) / (pairs.numel() - len(pairs)))
        scores["true"].append(float((units @ true_units.T).mean()))
    mean = {name: float(np.mean(values)) for name, values in scores.items()}
    return {
        "sampler/energy_score": mean["score"],
        "sampler/energy_score_gaussian": mean["gaussian"],
        "sampler/energy_score_regressed": mean["regressed"],
        "sampler/cosine_samples": mean["samples"],
        "sampler/cosine_true": mean["true"],
    }


class _Choice:
    """Chooses random rows of given persons from sorted owners of rows."""

    def __init__(self, owners: Tensor) -> None:
        self._counts = torch.bincount(owners)
        self._starts = self._counts.cumsum(0) - self._counts

    def __call__(self, persons: Tensor, num: int, generator: torch.Generator) -> Tensor:
        """Rows [N, num] of persons [N]."""
        share = torch.rand(len(persons), num, generator=generator, dtype=torch.float64)
        return self._starts[persons, None] + (share * self._counts[persons, None]).long()


def _person_means(rows: Tensor, owners: Tensor) -> Tensor:
    """[N, D]: the mean row of each person."""
    sums = rows.new_zeros(int(owners[-1]) + 1, rows.shape[1]).index_add_(0, owners, rows)
    return sums / torch.bincount(owners)[:, None]


def _residual_moment(people: VoicedPeople, mean: Tensor) -> Tensor:
    """[D, D] second moment of t - f over all pairs of a person's pictures and recordings; people count equally."""
    predicted, true = people.predicted.double() - mean, people.true.double() - mean
    mean_predicted = _person_means(predicted, people.person_of_predicted)
    mean_true = _person_means(true, people.person_of_true)
    cross = mean_predicted.T @ mean_true / len(people)
    return (
        _weighted_moment(predicted, people.person_of_predicted)
        + _weighted_moment(true, people.person_of_true)
        - cross
        - cross.T
    )


def _weighted_moment(rows: Tensor, owners: Tensor) -> Tensor:
    counts = torch.bincount(owners)
    weights = 1 / (counts[owners] * len(counts)).to(rows.dtype)
    return (rows * weights[:, None]).T @ rows
