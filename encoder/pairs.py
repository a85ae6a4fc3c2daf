"""Random pairs of a voice and a face of one person for training, and outputs of a frozen backbone for all voices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from data.errors import DatasetError, ModelError
from data.media.audio import fit_duration
from data.media.waveform import SAMPLE_RATE
from data.store.dataset import ClipDataset
from data.store.imported import read_imported
from data.store.sampling import PersonDraw
from encoder.backbones.imported import Imported
from encoder.voice_encoder import VoiceEncoder
from training.run import Run

_STREAM_CROPS = 101


class Pairs(Dataset[tuple[Tensor, Tensor, int]]):
    """People with a voice and a face; indexed by a `PersonDraw`, whose seed chooses clip, crop and face.

    Attributes:
        people: Indices into the data set's identities of those who have both.
    """

    def __init__(self, clips: ClipDataset, window_samples: int, hidden: Tensor | None = None) -> None:
        """Read all face features; voices are read when they are drawn.

        Args:
            clips: Split to draw from.
            window_samples: Length of a random crop of a waveform.
            hidden: [num_clips, num_crops, H] from `compute_hidden`, to be drawn instead of waveforms.

        Raises:
            DatasetError: If nobody has both a voice and a face.
        """
        features, owners = clips.all_face_features()
        owner_identities = clips.identity_of[owners[:, 0]]
        self.features = torch.from_numpy(features)
        self._clips = clips
        self._window_samples = window_samples
        self._hidden = hidden
        self._voices = {i: clips.voices_of(i) for i in range(len(clips.identities))}
        # Rows of `features` by person; sorting once is faster than a search for each person.
        order = np.argsort(owner_identities, kind="stable")
        bounds = np.searchsorted(owner_identities[order], np.arange(len(clips.identities) + 1))
        self._faces = {i: order[bounds[i] : bounds[i + 1]] for i in range(len(clips.identities))}
        self.people = [i for i in self._voices if self._voices[i] and len(self._faces[i])]
        if not self.people:
            raise DatasetError(f"{clips.root}: nobody in the {clips.split} split has both voice and face; prepare more")

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, draw: PersonDraw) -> tuple[Tensor, Tensor, int]:
        """One pair.

        Returns:
            Voice: [T] float32 waveform, or [H] if the backbone's outputs were given; face feature [D]; index of the
            person in the data set's identities.
        """
        random = np.random.default_rng(draw.seed)
        clip = int(random.choice(self._voices[draw.identity]))
        face = int(random.choice(self._faces[draw.identity]))
        if self._hidden is not None:
            voice = self._hidden[clip, random.integers(self._hidden.shape[1])]
        else:
            voice = torch.from_numpy(random_crop(self._clips.waveform(clip), self._window_samples, random))
        return voice, self.features[face], draw.identity

    def prototypes(self) -> Tensor:
        """[num_people, D]: the mean feature of each person in `people`."""
        return torch.stack([self.features[self._faces[i]].mean(dim=0) for i in self.people])

    def mean_hidden(self) -> Tensor:
        """[num_people, H]: the backbone's mean output over the whole recordings of each person in `people`."""
        if self._hidden is None:
            raise ValueError("these pairs hold waveforms")
        return torch.stack([self._hidden[self._voices[i], 0].mean(dim=0) for i in self.people])

    def first_pairs(self) -> tuple[list[int], Tensor]:
        """The same voice and face of each person in `people` at every call, for validation.

        Returns:
            Clip indices of the voices, and face features [num_people, D].
        """
        clips = [self._voices[i][0] for i in self.people]
        return clips, torch.stack([self.features[self._faces[i][0]] for i in self.people])


def random_crop(waveform: NDArray[np.float32], num_samples: int, random: np.random.Generator) -> NDArray[np.float32]:
    """A crop of fixed length at a random position; a shorter recording is repeated from a random position on.

    Args:
        waveform: [T] with T >= 1.
        num_samples: Length of the result.
        random: Generator of the position.
    """
    if len(waveform) <= num_samples:
        return fit_duration(np.roll(waveform, -int(random.integers(len(waveform)))), num_samples)
    return fit_duration(waveform, num_samples, int(random.integers(len(waveform) - num_samples + 1)))


def imported_vectors(model: VoiceEncoder, clips: ClipDataset, rows: Sequence[int]) -> Tensor:
    """Imported voice vectors of clips, [N, H], in the place of a backbone's outputs.

    Raises:
        DatasetError: If the data set has none.
        ModelError: If the encoder was trained on recordings, or on vectors of another length.
    """
    imported = read_imported(clips.info.extra)
    if imported is not None and not (
        isinstance(model.backbone, Imported) and model.backbone.hidden_size == imported.voice_size
    ):
        raise ModelError(
            f"{clips.root} holds imported voice vectors of {imported.voice_size} numbers; this encoder has the "
            f"backbone {model.config.backbone} with {model.backbone.hidden_size}"
        )
    return torch.from_numpy(np.stack([clips.voice_vector(row) for row in rows]))


def compute_hidden(model: VoiceEncoder, clips: ClipDataset, num_crops: int, crop_seconds: float, run: Run) -> Tensor:
    """Compute a frozen backbone's outputs for every voice, whole and in random crops; processes share the work.

    Args:
        model: Encoder with the backbone; it is put into eval mode.
        clips: Split with the voices.
        num_crops: Number of random crops of each voice besides the whole.
        crop_seconds: Length of the crops; a shorter voice is repeated up to it.
        run: Run whose seed decides the crops, so that a resumed run has the same ones.

    Returns:
        [num_clips, 1 + num_crops, H] on the CPU, the whole recording first; zeros for clips without a voice.
    """
    model.eval()
    if not clips.has_media:
        vectors = imported_vectors(model, clips, np.flatnonzero(clips.has_voice).tolist())
        table = torch.zeros(len(clips), 1 + num_crops, model.backbone.hidden_size)
        table[torch.from_numpy(clips.has_voice)] = vectors[:, None]
        return table
    table = torch.zeros(len(clips), 1 + num_crops, model.backbone.hidden_size, device=run.device)
    seeds = torch.randint(2**62, (len(clips),), generator=run.generator(0, _STREAM_CROPS)).tolist()
    voiced = [index for index in range(len(clips)) if clips.has_voice[index]][run.rank :: run.num_processes]
    num_samples = round(crop_seconds * SAMPLE_RATE)
    for index in tqdm(voiced, desc=f"encoding {clips.split} voices", disable=None if run.is_main else True, delay=2):
        waveform = clips.waveform(index)
        random = np.random.default_rng(seeds[index])
        with torch.no_grad():
            table[index, 0] = model.hidden_of([waveform])[0]
            if num_crops:
                crops = [random_crop(waveform, num_samples, random) for _ in range(num_crops)]
                table[index, 1:] = model.hidden(torch.from_numpy(np.stack(crops)).to(run.device))
    # Rows of other processes are zero, so the sum is exact.
    return run.accelerator.reduce(table, "sum").cpu() if run.num_processes > 1 else table.cpu()
