"""A static page that runs an export in the browser, with onnxruntime-web; no voice leaves the machine."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import shutil
import tarfile
from pathlib import Path

from data.errors import ModelError, OutputError
from data.files import write_file
from gan.export.folder import ABOUT_NAME

ONNXRUNTIME_WEB = "1.30.0"
"""Version of onnxruntime-web that the page was tested with."""

_INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
_RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_PAGE = Path(__file__).parent / "page"
_SPEECH_NAME = "silero_vad_16k_sequence.onnx"
_LICENSES = """\
onnxruntime-web (ort/): Copyright (c) Microsoft Corporation, MIT License
silero-vad (speech.onnx): Copyright (c) Silero Team, MIT License
wav2face (all other code): Apache License 2.0
"""


def add_page(folder: Path, package: Path) -> int:
    """Put the page beside an export.

    Args:
        folder: Folder of the export, to be served by any file server.
        package: Package of onnxruntime-web, as the npm registry has it.

    Returns:
        Bytes of all files together.

    Raises:
        ModelError: If the folder holds no export, the package is another one, or silero-vad lacks the graph that finds
            speech.
        OutputError: If the folder can't be written to.
    """
    if not (folder / ABOUT_NAME).is_file():
        raise ModelError(f"{folder} holds no export: write one with scripts/export.py --out {folder}")
    _check_package(package)
    spec = importlib.util.find_spec("silero_vad")
    speech = Path(spec.origin).parent / "data" / _SPEECH_NAME if spec and spec.origin else None
    if speech is None or not speech.is_file():
        raise ModelError(f"the installed silero-vad has no {_SPEECH_NAME}: pip install --upgrade silero-vad")
    try:
        (folder / "ort").mkdir(exist_ok=True)
        with tarfile.open(package) as archive:
            for name in _RUNTIME_FILES:
                member = archive.extractfile(f"package/dist/{name}")
                assert member is not None, "the package's integrity was checked"
                write_file(folder / "ort" / name, member.read())
        for part in sorted(_PAGE.iterdir()):
            shutil.copyfile(part, folder / part.name)
        shutil.copyfile(speech, folder / "speech.onnx")
        write_file(folder / "LICENSES.txt", _LICENSES)
    except OSError as error:
        raise OutputError(f"can't write the page to {folder}: {error.strerror or error}") from None
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _check_package(package: Path) -> None:
    """Check that a file is the package of onnxruntime-web that the page was tested with.

    Raises:
        ModelError: If it is missing, damaged or another one.
    """
    get = f"get it with: npm pack onnxruntime-web@{ONNXRUNTIME_WEB}"
    try:
        digest = hashlib.sha512(package.read_bytes()).digest()
    except OSError as error:
        raise ModelError(f"{package}: {error.strerror or error}; {get}") from None
    if base64.b64encode(digest).decode() != _INTEGRITY:
        raise ModelError(f"{package} is not the package onnxruntime-web {ONNXRUNTIME_WEB}, or it is damaged; {get}")
