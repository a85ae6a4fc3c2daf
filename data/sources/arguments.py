"""Arguments that several preparing commands share: faces, speech, the split."""

from __future__ import annotations

import argparse
from argparse import Namespace
from typing import Any

from data.errors import ConfigError
from data.faces.alignment import FACE_SIZES
from data.faces.protocol import DEVICES
from data.sources.recipe import FaceRecipe
from data.store.split import DEFAULT_FRACTIONS

DEFAULT_PACK = "buffalo_l"

_CLASSIC_ANALYZERS = {"hog": "dlib", "cnn": "dlib:cnn"}

Group = argparse.ArgumentParser | argparse._ArgumentGroup


def add_face_arguments(group: Group, *, classic: bool = False) -> None:
    """Add what decides how faces are found and described.

    Args:
        group: Parser or group of arguments.
        classic: Whether the analyzer has a default and may also be named as Speech2Face's pipelines name it.
    """
    add = group.add_argument
    default = f" (default: insightface:{DEFAULT_PACK})" if classic else ""
    add(
        "--face-analyzer",
        required=not classic,
        metavar="NAME",
        help="detector and face network: insightface:<pack>, dlib, dlib:cnn, or aligned:<face network> for pictures "
        f"that are aligned crops already{default}",
    )
    add(
        "--face-encoder",
        metavar="NAME",
        help="T, the face network that makes face features (default: the analyzer's own)",
    )
    add("--insightface-root", metavar="FOLDER", help="holds models/<pack>/*.onnx (default: ~/.insightface)")
    add("--device", choices=DEVICES, default="cpu", help="where face networks run (default: %(default)s)")
    add(
        "--face-size",
        type=int,
        default=FaceRecipe.face_size,
        choices=FACE_SIZES,
        help="side of the crops in pixels (default: %(default)s)",
    )
    if classic:
        add(
            "--face-extraction-model",
            choices=("insightface", "hog", "cnn"),
            help="--face-analyzer by the names of classic pipelines: insightface is insightface:<pack>, hog is dlib, "
            "cnn is dlib:cnn",
        )
        add("--insightface-pack", metavar="PACK", help="with --face-extraction-model insightface, or alone: the pack")


def add_split_arguments(group: Group) -> None:
    """Add what decides how people are split."""
    add = group.add_argument
    add("--seed", type=int, default=0, help="seed of the split by identity (default: %(default)s)")
    add(
        "--split-fractions",
        type=float,
        nargs=3,
        default=DEFAULT_FRACTIONS,
        metavar=("TRAIN", "VAL", "TEST"),
        help="shares of people (default: {:g} {:g} {:g})".format(*DEFAULT_FRACTIONS),
    )


def add_private_argument(group: Group) -> None:
    """Add the mark that keeps models of a data set from being published."""
    group.add_argument(
        "--private",
        action="store_true",
        help="mark the data set as private: scripts/publish.py refuses models that were trained on it",
    )


def add_voice_activity_argument(group: Group) -> None:
    """Add whether silence is cut."""
    group.add_argument(
        "--voice-activity",
        choices=("silero", "none"),
        default="silero",
        help="how silence is found and cut; none where recordings are speech alone (default: %(default)s)",
    )


def face_settings(given: Namespace) -> dict[str, Any]:
    """The given face arguments, as fields of `FaceRecipe`.

    Raises:
        ConfigError: If the classic names contradict --face-analyzer.
    """
    return {
        "face_analyzer": _choose_analyzer(given),
        "face_encoder": given.face_encoder,
        "insightface_root": given.insightface_root,
        "device": given.device,
        "face_size": given.face_size,
    }


def _choose_analyzer(given: Namespace) -> str:
    """The analyzer's name, whichever of its flags gave it."""
    model, pack = getattr(given, "face_extraction_model", None), getattr(given, "insightface_pack", None)
    if model is None and pack is None:
        return given.face_analyzer or f"insightface:{DEFAULT_PACK}"
    classic = _CLASSIC_ANALYZERS.get(model or "") or f"insightface:{pack or DEFAULT_PACK}"
    if given.face_analyzer not in (None, classic):
        flags = [f"--face-extraction-model {model}"] * bool(model) + [f"--insightface-pack {pack}"] * bool(pack)
        raise ConfigError(
            f"{' '.join(flags)} means --face-analyzer {classic}, and --face-analyzer {given.face_analyzer} is given as "
            "well; give one of them"
        )
    return classic
