"""The real faces and the drawings whose distributions are compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.errors import DatasetError
from data.store.dataset import ClipDataset
from eval.model_under_test import ModelUnderTest, batches
from eval.predictions import clip_noise_keys, draw_samples

NUM_SEARCHED = 200
"""Number of drawings, and of real faces, in which a detector looks for a face, if the split has as many voices."""

_BATCH = 128


@dataclass(frozen=True)
class PictureSets:
    """Which pictures are compared; decided by the split and the seed alone, so the same in every report.

    Attributes:
        dataset: The split.
        seed: Seed of the choice and of all noise.
        faces: [M, 2] clip and number of each real face.
        face_owners: [M] identity of each real face.
        true_features: [M, D] T's features of the real faces.
        in_half: [M] bool, the real faces of one half of the people.
        clips: [N] clip of each drawing from a voice: all clips with a voice in turn, until there are N.
        numbers: [N] number of the drawing among those of its clip.
        f2f: [N] real face of each drawing from a true feature.
    """

    dataset: ClipDataset
    seed: int
    faces: NDArray[np.int64]
    face_owners: NDArray[np.int64]
    true_features: NDArray[np.float32]
    in_half: NDArray[np.bool_]
    clips: NDArray[np.int64]
    numbers: NDArray[np.int64]
    f2f: NDArray[np.int64]

    @property
    def owners(self) -> NDArray[np.int64]:
        """[N] identity whose voice each drawing is from."""
        return self.dataset.identity_of[self.clips].astype(np.int64)

    def photographs(self) -> Iterator[NDArray[np.uint8]]:
        """Batches of the real faces [n, S, S, 3]."""
        yield from self.read(np.arange(len(self.faces)))

    def read(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        """Batches of some of the real faces."""
        for batch in batches(rows.tolist(), _BATCH, "real faces"):
            keys = self.faces[batch]
            yield np.stack([self.dataset.face(int(clip), int(face)) for clip, face in keys])

    def redrawings(self, model: ModelUnderTest) -> Iterator[NDArray[np.uint8]]:
        """Batches of the drawings from true features."""
        for batch in batches(range(len(self.f2f)), _BATCH, "drawings from true features"):
            rows, rounds = self.f2f[batch], np.array(batch) // len(self.faces)
            keys = [
                f"{self.seed}/f2f/{clip}/{face}" + (f"/{number}" if number else "")
                for (clip, face), number in zip(self.faces[rows], rounds, strict=True)
            ]
            yield draw_samples(model, self.true_features[rows], keys)

    def drawings(
        self, model: ModelUnderTest, features: NDArray[np.float32], variety: float, rows: NDArray[np.int64]
    ) -> Iterator[NDArray[np.uint8]]:
        """Batches of some of the drawings from voices.

        Args:
            model: A model with a generator.
            features: [N, D] regressed feature of the voice of each drawing.
            variety: Variety of the samples.
            rows: Numbers of the drawings.
        """
        for batch in batches(rows.tolist(), _BATCH, "drawings from voices"):
            keys = clip_noise_keys(self.dataset, self.clips[batch], self.seed, self.numbers[batch])
            yield draw_samples(model, features[batch], keys, variety)

    def searched(self, num: int) -> NDArray[np.int64]:
        """Rows of at most `NUM_SEARCHED` of `num` pictures, spread over all of them; no more than there are voices."""
        most = min(num, NUM_SEARCHED, len(np.unique(self.clips)))
        return np.unique(np.linspace(0, num - 1, most).round().astype(np.int64))


def choose_pictures(dataset: ClipDataset, num_images: int, seed: int) -> PictureSets:
    """Choose the pictures that are compared.

    Args:
        dataset: The split; all its faces are the reference, those of people without a voice too.
        num_images: Number of drawings from voices, and from true features.
        seed: Seed.

    Raises:
        DatasetError: If the split has no voice or fewer than four faces.
    """
    true_features, faces = dataset.all_face_features()
    voices = np.flatnonzero(dataset.has_voice)
    if len(faces) < 4 or not len(voices):
        raise DatasetError(
            f"{dataset.root}: the split '{dataset.split}' has {len(faces)} faces and {len(voices)} voices; "
            "at least four faces and one voice are needed"
        )
    random = np.random.default_rng([seed, 6])
    # The bound compares one half of the people with the other: pictures of one person are not independent.
    face_owners = dataset.identity_of[faces[:, 0]].astype(np.int64)
    people = random.permutation(np.unique(face_owners))
    return PictureSets(
        dataset=dataset,
        seed=seed,
        faces=faces,
        face_owners=face_owners,
        true_features=true_features,
        in_half=np.isin(face_owners, people[: len(people) // 2]),
        clips=np.resize(voices, num_images),
        numbers=np.arange(num_images) // len(voices),
        f2f=np.resize(random.permutation(len(faces)), num_images),
    )
