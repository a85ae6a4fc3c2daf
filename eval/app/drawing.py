"""From what the page heard to the drawings that it shows; nothing is written to a disk."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from data.errors import ConfigError
from data.media.waveform import Waveform
from eval.app.limits import MAX_DRAWINGS
from eval.attributes.network import AttributeNetwork
from eval.sharing.card import Told, read_card
from gan.voice2face import Voice2Face, save_drawing, to_pictures

_MAX_SEED = 2**32 - 1
_SHOWN_SIZE = 160  # px on the page


@dataclass(frozen=True)
class Artist:
    """A model that draws on a page, and what else may be told of its drawings.

    Attributes:
        model: The model.
        reader: Reads sex and age from drawings; None to tell neither.
        told: What the model's card allows to tell.
    """

    model: Voice2Face
    reader: AttributeNetwork | None = None
    told: tuple[Told, ...] = ()

    @property
    def has_variety(self) -> bool:
        """Whether drawings of variety above 0 are possible."""
        return self.model.encoder.sampler is not None

    def listen(self, speech: Waveform) -> Tensor:
        """All that drawings need of a voice [T]: [1, C] the regressed face feature."""
        return self.model.encoder.encode([speech]).feature

    @torch.no_grad()
    def draw(self, feature: Tensor, variety: float, num_images: int, seed: int) -> list[Image.Image]:
        """The drawings that `Voice2Face` makes of the same voice.

        Args:
            feature: Result of `listen`.
            variety: In [0, 1].
            num_images: 1 to `MAX_DRAWINGS`.
            seed: 0 to 2^32 - 1.

        Raises:
            ConfigError: If a number is outside its range.
            ModelError: If variety is above 0 and the model has no sampler.
        """
        if not (0 <= variety <= 1 and 1 <= num_images <= MAX_DRAWINGS and 0 <= seed <= _MAX_SEED):
            raise ConfigError(
                f"variety is 0 to 1, the number of drawings 1 to {MAX_DRAWINGS}, the seed 0 to {_MAX_SEED}"
            )
        generator = torch.Generator().manual_seed(seed)
        features = self.model.encoder.sample_around(feature, num_images, variety, generator)[0]
        return to_pictures(self.model.draw(features, generator=generator))

    def describe(self, feature: Tensor, seed: int) -> str:
        """Sex and age that the most telling drawing shows, in a sentence; empty where none may be told."""
        if self.reader is None or not self.told:
            return ""
        (picture,) = self.draw(feature, 0.0, 1, seed)
        (male,), (years,) = self.reader.read(np.asarray(picture)[None])
        words = {"sex": "a man" if male > 0.5 else "a woman", "age": f"about {years:.0f} years"}
        return f"the most telling drawing shows {', '.join(words[what] for what in self.told)}; often wrong"


def load_artist(folder: str | Path, device: str = "cpu", attribute_reader: str | None = None) -> Artist:
    """Load a model and what its card allows.

    Args:
        folder: Folder or hub id of a model.
        device: Where it draws.
        attribute_reader: `onnx:<file>` of a network that reads sex and age; None for none.

    Raises:
        ConfigError: If a reader is given and the model's card does not allow to tell anything.
        ModelError: If the model or the reader can't be loaded.
    """
    model = Voice2Face.from_pretrained(folder).to(device)
    told = read_card(folder).told
    if attribute_reader and not told:
        raise ConfigError(
            f"--attribute-reader: the card of {folder} does not allow to tell sex or age; who answers for the model "
            "adds `may_tell: [sex, age]` to the header of its README.md"
        )
    return Artist(model, AttributeNetwork(attribute_reader) if attribute_reader else None, told)


def to_figures(pictures: Sequence[Image.Image], seed: int) -> str:
    """HTML of drawings, each a PNG with the synthetic mark and a link that saves it."""
    figures = []
    for number, picture in enumerate(pictures):
        address, name = _marked_png(picture), f"drawing-{seed}-{number}.png"
        shown = (
            f'<img src="{address}" width="{_SHOWN_SIZE}" height="{_SHOWN_SIZE}" alt="synthetic drawing {number + 1}">'
        )
        figures.append(f'<a download="{name}" href="{address}" title="save {name}">{shown}</a>')
    row = Image.fromarray(np.concatenate([np.asarray(picture) for picture in pictures], axis=1))
    link = f'<a id="save-all" download="drawings-{seed}.png" href="{_marked_png(row)}">all drawings as one PNG</a>'
    return f'<div class="drawings">{"".join(figures)}</div><p>Select a drawing to save it, or save {link}</p>'


def to_image(picture: Image.Image, label: str) -> str:
    """HTML of one picture as wide as the page, of a few ten kilobytes."""
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=85)
    return f'<img class="wide" src="{_address(buffer.getvalue(), "jpeg")}" alt="{html.escape(label)}">'


def _marked_png(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    save_drawing(picture, buffer)
    return _address(buffer.getvalue(), "png")


def _address(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
