"""Made-up people for tests: cartoon faces, formant voices whose pitch follows the sex, and a tiny face network.

Everything is drawn from seeds, quickly, and goes through the real preparation; nobody in it exists.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import soundfile
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

from data.faces.alignment import ARCFACE_REGION, ARCFACE_TEMPLATE, CROP_REGION, crop_region
from data.media.waveform import SAMPLE_RATE
from data.personas.faces import render_faces
from data.personas.footage.vowels import sex_of, speak
from data.personas.population import draw_population
from data.sources.clips import Recipe
from data.sources.prepare import PrepareConfig, prepare_folder

TINY_ANALYZER = "aligned:insightface:tiny"
TINY_FEATURE_SIZE = 32


@dataclass(frozen=True)
class TinyWorld:
    """Where things lie: a prepared data set, what it was made from, and the insightface root with its T."""

    dataset: Path
    recordings: Path
    attributes: Path
    pack_root: Path


def draw_face(person: int, image: int = 0, size: int = 64) -> NDArray[np.uint8]:
    """A cartoon face as an aligned crop [size, size, 3] uint8 covering CROP_REGION; hair and jaw follow the sex."""
    rng = np.random.default_rng([11, person])
    skin = tuple(int(v) for v in rng.uniform((120, 80, 60), (240, 200, 180)))
    hair = tuple(int(v) for v in rng.uniform(10, 190, 3))
    shirt = tuple(int(v) for v in rng.uniform(20, 235, 3))
    iris = tuple(int(v) for v in rng.uniform(10, 160, 3))
    width, brow, nose, mouth = (
        rng.uniform(0.9, 1.1),
        rng.uniform(1, 3),
        rng.uniform(2, 5),
        rng.uniform(0.8, 1.25),
    )
    is_female = sex_of(person) == "female"
    width *= 0.93 if is_female else 1.05

    look = np.random.default_rng([12, person, image])
    background = tuple(int(v) for v in look.uniform(60, 220, 3))
    shift = look.uniform(-1.5, 1.5, 2)
    scale = 4 * size / CROP_REGION.side  # drawn four times larger, then reduced

    def at(x: float, y: float) -> tuple[float, float]:
        return (x + shift[0] - CROP_REGION.left) * scale, (y + shift[1] - CROP_REGION.top) * scale

    picture = Image.new("RGB", (4 * size, 4 * size), background)
    draw = ImageDraw.Draw(picture)

    def ellipse(x: float, y: float, rx: float, ry: float, colour: tuple[int, ...]) -> None:
        draw.ellipse((*at(x - rx, y - ry), *at(x + rx, y + ry)), fill=colour)

    ellipse(56, 160, 62, 40, shirt)
    if is_female:
        ellipse(56, 75, 54 * width, 66, hair)
    ellipse(56, 115, 16, 28, skin)
    ellipse(56, 45, 44 * width, 44, hair)
    ellipse(56, 72, 39 * width, 50 if is_female else 52, skin)
    draw.rectangle((*at(26, 14), *at(86, 30)), fill=hair)
    for x, y in ARCFACE_TEMPLATE[:2]:
        ellipse(x, y, 7, 4, (245, 245, 245))
        ellipse(x, y, 3.5, 3.5, iris)
        draw.rectangle((*at(x - 9, y - 9 - brow), *at(x + 9, y - 9)), fill=hair)
    ellipse(*ARCFACE_TEMPLATE[2], nose, 5, tuple(int(0.8 * v) for v in skin))
    mouth_x, mouth_y = ARCFACE_TEMPLATE[3:].mean(0)
    lips = (200, 60, 70) if is_female else tuple(int(0.7 * v) for v in skin)
    ellipse(mouth_x, mouth_y, 14 * mouth, 4.5 if is_female else 3, lips)
    if not is_female:
        ellipse(56, 112, 20 * width, 6, tuple(int(0.5 * s + 0.5 * h) for s, h in zip(skin, hair, strict=True)))
    small = np.asarray(picture.resize((size, size), Image.Resampling.BOX), np.float64)
    noisy = small * look.uniform(0.85, 1.1) + look.normal(0, 2, small.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def photograph_persona(persona: int, size: int = 256) -> NDArray[np.uint8]:
    """A picture of a persona with a margin, in which detectors of real faces find the face: [S, S, 3] uint8."""
    face = render_faces(draw_population(persona + 1, seed=11), np.array([persona]), np.array([0]), size)[0]
    margin = size // 4
    return np.pad(face, ((margin, margin), (margin, margin), (0, 0)), mode="edge")


def make_recordings(
    root: Path,
    num_identities: int = 16,
    voices: int = 2,
    faces: int = 2,
    seconds: float = 1.2,
    size: int = 64,
    num_faces_only: int = 0,
    num_voices_only: int = 0,
) -> Path:
    """Write ROOT/person_###/{voices,faces}/* and ROOT.csv; people without one side come after the others.

    Returns:
        The CSV file: identity, gender, age, nationality; the age is missing for every fourth person.
    """
    rows = []
    for person in range(num_identities + num_faces_only + num_voices_only):
        identity = f"person_{person:03d}"
        has_voice = person < num_identities or person >= num_identities + num_faces_only
        has_face = person < num_identities + num_faces_only
        for clip in range(voices if has_voice else 0):
            path = root / identity / "voices" / f"{clip}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, speak(person, clip, seconds), SAMPLE_RATE)
        for image in range(faces if has_face else 0):
            path = root / identity / "faces" / f"{image}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw_face(person, image, size)).save(path)
        age = "" if person % 4 == 3 else str(20 + person % 50)
        rows.append([identity, sex_of(person)[0], age, "nowhere" if person % 3 else ""])
    attributes = root.with_suffix(".csv")
    with attributes.open("w", newline="") as file:
        csv.writer(file).writerows([["identity", "gender", "age", "nationality"], *rows])
    return attributes


def make_tiny_pack(root: Path) -> Path:
    """Write ROOT/models/tiny/tiny.onnx: a fixed random 112-px convolutional network with features of 32 numbers.

    Its features are centred on the cartoon faces, so that different people are far apart.

    Returns:
        The file.
    """
    generator = torch.Generator().manual_seed(5)

    def weight(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * (2 / np.prod(shape[1:])) ** 0.5

    convolutions = [weight(12, 3, 5, 5), weight(16, 12, 3, 3), weight(16, 16, 3, 3)]
    strides = [4, 2, 2]
    linear = weight(TINY_FEATURE_SIZE, 16 * 7 * 7)
    crops = np.stack([draw_face(person) for person in range(100, 148)])
    hidden = torch.from_numpy(crop_region(crops, ARCFACE_REGION, 112)).permute(0, 3, 1, 2) / 127.5 - 1
    for kernel, stride in zip(convolutions, strides, strict=True):
        hidden = torch.relu(torch.nn.functional.conv2d(hidden, kernel, stride=stride, padding=kernel.shape[-1] // 2))
    bias = -(hidden.flatten(1) @ linear.T).mean(0)

    nodes, initializers, name = [], [], "input"
    for i, (kernel, stride) in enumerate(zip(convolutions, strides, strict=True)):
        initializers.append(numpy_helper.from_array(kernel.numpy(), f"kernel{i}"))
        pad, side = kernel.shape[-1] // 2, kernel.shape[-1]
        nodes += [
            helper.make_node(
                "Conv", [name, f"kernel{i}"], [f"conv{i}"], name=f"conv{i}",
                kernel_shape=[side, side], strides=[stride, stride], pads=[pad] * 4,
            ),
            helper.make_node("Relu", [f"conv{i}"], [f"relu{i}"], name=f"relu{i}"),
        ]  # fmt: skip
        name = f"relu{i}"
    nodes += [
        helper.make_node("Flatten", [name], ["flat"], name="flatten", axis=1),
        helper.make_node("Gemm", ["flat", "linear", "bias"], ["feature"], name="linear", transB=1),
    ]
    initializers += [
        numpy_helper.from_array(linear.numpy(), "linear"),
        numpy_helper.from_array(bias.numpy(), "bias"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 112, 112])],
        [helper.make_tensor_value_info("feature", TensorProto.FLOAT, ["batch", TINY_FEATURE_SIZE])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path = root / "models" / "tiny" / "tiny.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def make_tiny_dataset(
    folder: Path,
    num_identities: int = 24,
    voices: int = 2,
    faces: int = 2,
    seconds: float = 1.2,
    face_size: int = 64,
    num_faces_only: int = 2,
    num_voices_only: int = 1,
) -> TinyWorld:
    """Record made-up people and prepare them through the real code, in this process, in a few seconds.

    Half of them train, a fifth validates, the rest tests.
    """
    recordings = folder / "recordings"
    attributes = make_recordings(
        recordings, num_identities, voices, faces, seconds, face_size, num_faces_only, num_voices_only
    )
    pack_root = folder / "insightface"
    make_tiny_pack(pack_root)
    dataset = folder / "dataset"
    prepare_folder(
        PrepareConfig(
            root=recordings,
            out=dataset,
            recipe=Recipe(TINY_ANALYZER, insightface_root=str(pack_root), face_size=face_size, voice_activity="none"),
            attributes=attributes,
            split_fractions=(0.5, 0.2, 0.3),
            num_workers=1,
        )
    )
    return TinyWorld(dataset, recordings, attributes, pack_root)
