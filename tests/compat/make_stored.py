"""Make what lies in stored/ with the code of commit d5f1e1f: see README.md beside this file.

PYTHONPATH=CHECKOUT python make_stored.py OUT, in a checkout of that commit; it does not run with later code.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data.dataset import ClipDataset
from data.describe import Recipe
from data.prepare import PrepareConfig, prepare_folder
from encoder.face_encoder import FaceEncoder, FaceEncoderConfig
from encoder.face_export import save_face_encoder
from encoder.face_inference import measure_statistics, to_inputs
from numpy.typing import NDArray
from PIL import Image
from tests.video_server import VideoServer
from tests.videos import make_talking_video

from data.faces import embed_crops, load_recognizer
from data.personas.build import PersonasConfig, build_personas
from data.personas.population import TRAIT_COLUMNS
from encoder.voice_encoder import VoiceEncoder, VoiceEncoderConfig
from gan.generator import GeneratorConfig
from gan.voice2face import Voice2Face, Voice2FaceConfig, save_drawing, to_pictures
from tests.synthetic import TINY_ANALYZER, draw_face, make_recordings, make_tiny_pack


def store_folder(work: Path, out: Path) -> ClipDataset:
    """A data set of four people in their own folder; one has no voice, and one of the files is broken."""
    recordings = work / "recordings"
    attributes = make_recordings(recordings, num_identities=3, voices=1, faces=2, seconds=3.0, num_faces_only=1)
    (recordings / "person_000" / "voices" / "broken.wav").write_text("no recording")
    make_tiny_pack(work)
    recipe = Recipe(TINY_ANALYZER, insightface_root=str(work), face_size=64, voice_activity="none")
    prepare_folder(
        PrepareConfig(
            root=recordings,
            out=out,
            recipe=recipe,
            attributes=attributes,
            split_fractions=(0.6, 0.2, 0.2),
            num_workers=1,
        )
    )
    return ClipDataset(out, "all")


def store_list(work: Path, out: Path, table: Path) -> None:
    """A data set of a list of three videos, of which one is downloaded, one is gone and one is a mistake."""
    table.write_text("ada,0.25,2.25,0.5,0.5\ngone,0,3,0.5,0.5\nback,5,4,0.5,0.5\n")
    files = {"ada": make_talking_video(work / "ada.mp4", persona=0, seconds=2.5)}
    command = [sys.executable, "scripts/prepare_avspeech.py", "--csv", str(table), "--out", str(out)]
    options = ["--face-extraction-model", "hog", "--face-encoder", "personas", "--face-size", "64", "--fps", "2"]
    with VideoServer(files) as server:
        more = ["--workers", "1", "--sources", str(work / "sources"), "--download-retries", "0"]
        subprocess.run([*command, *options, *more, "--url-template", server.url_template], check=True)


def store_models(dataset: ClipDataset, out: Path) -> None:
    """A voice encoder, a whole model around it, and a face encoder, all of random weights."""
    torch.manual_seed(0)
    config = VoiceEncoderConfig(
        backbone="speech2face",
        backbone_options={"width": 2, "hidden_size": 8},
        embedding_size=8,
        window_seconds=1.0,
        face_encoder=dataset.info.face_encoder,
    )
    encoder = VoiceEncoder(config).eval()
    voices = [dataset.waveform(clip) for clip in np.flatnonzero(dataset.has_voice)]
    encoder.set_input_statistics(encoder.hidden_of(voices), torch.from_numpy(dataset.all_face_features()[0]))
    encoder.save_pretrained(out / "encoder")
    generator = GeneratorConfig(noise_size=4, condition_size=8, widths=(8, 8, 8, 4, 4))
    model = Voice2Face(Voice2FaceConfig(encoder.config, generator, image_size=64))
    model.encoder.load_state_dict(encoder.state_dict())
    for parameter in model.generator.parameters():  # the last layer of each new block is zero
        parameter.data += 0.1 * torch.randn(parameter.shape)
    model.save_pretrained(out / "voice2face")
    face_encoder = FaceEncoder(FaceEncoderConfig(widths=(4, 6, 8), depths=(1, 1, 1), feature_size=8))
    measure_statistics(face_encoder, [to_inputs(np.stack([draw_face(person) for person in range(5)]))])
    save_face_encoder(face_encoder, out / "face_encoder", "5 faces of 5 people of nowhere", None)


def store_drawings(dataset: ClipDataset, out: Path) -> None:
    """What the model draws from the stored speech of the first clip."""
    speech = dataset.waveform(int(np.flatnonzero(dataset.has_voice)[0]))
    model = Voice2Face.from_pretrained(out / "voice2face")
    feature = model.encoder.encode([speech]).feature.expand(2, -1)
    save_row(to_pictures(model.draw(feature, generator=torch.Generator().manual_seed(5))), out / "voice2face.png")


def save_row(pictures: list[Image.Image], path: Path) -> None:
    """Side by side."""
    save_drawing(Image.fromarray(np.concatenate([np.asarray(picture) for picture in pictures], axis=1)), path)


def store_persona(out: Path) -> None:
    """A data set of one persona, whose traits lie in columns of their own."""
    options = {"num_identities": 1, "num_images": 1, "num_clips": 1, "split_fractions": (1.0, 0.0, 0.0)}
    build_personas(PersonasConfig(out, **options, face_size=64, face_encoder="personas", num_workers=1))


def store_contents(stored: Path) -> None:
    """What the old code reads from each data set: hashes of arrays, and the rest as it is."""
    contents = {}
    for name in ("folder", "list", "persona"):
        dataset = ClipDataset(stored / name, "all")
        clips = [dataset.clip(i) for i in range(len(dataset))]
        contents[name] = {
            clip.clip_id: {
                "identity": clip.identity,
                "waveform": None if clip.waveform is None else sha256(clip.waveform),
                "faces": [sha256(face) for face in clip.faces],
                "face_features": sha256(clip.face_features),
                "attributes": asdict(clip.attributes),
                "source": asdict(clip.source),
            }
            for clip in clips
        }
    traits = ClipDataset(stored / "persona", "all").persona_traits()
    contents["traits"] = {name: sha256(getattr(traits, name)) for name in ("is_male", *TRAIT_COLUMNS)}
    network = load_recognizer(str(stored / "face_encoder"))
    features = embed_crops(network, np.stack([draw_face(person) for person in range(2)]))
    contents["face_encoder"] = features.astype(float).round(6).tolist()
    (stored / "contents.json").write_text(json.dumps(contents, indent=1) + "\n")


def sha256(array: NDArray[Any]) -> str:
    """Of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


if __name__ == "__main__":
    torch.set_num_threads(1)
    stored, work = Path(sys.argv[1]), Path("/tmp/wav2face")
    stored.mkdir(parents=True)
    work.mkdir()
    dataset = store_folder(work, stored / "folder")
    store_list(work, stored / "list", stored / "list.csv")
    store_persona(stored / "persona")
    store_models(dataset, stored)
    store_drawings(dataset, stored)
    store_contents(stored)
    shutil.rmtree(work)
