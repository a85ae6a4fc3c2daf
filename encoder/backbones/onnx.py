"""Any speaker network that is an ONNX file, frozen: filter banks or a waveform in, a vector out."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.errors import ConfigError, ModelError
from data.files import sha256_of_file
from data.media.waveform import SAMPLE_RATE
from encoder.backbones.base import Backbone
from encoder.backbones.published import PUBLISHED
from encoder.front_ends import build_front_end

FOLDER_VARIABLE = "WAV2FACE_VOICE_NETWORKS"
"""Environment variable: a folder whose files are taken before those at the paths of models' configs."""


class OnnxNetwork(Backbone):
    """A network that onnxruntime runs on the CPU, without gradients. Its weights stay in the file, out of the model."""

    def __init__(self, path: str, frontend: str, sha256: str, output: str | None = None) -> None:
        """Open the file.

        Args:
            path: Path of the file.
            frontend: Name of its front end, as `build_front_end` takes it.
            sha256: Hash of the file that the model was made with.
            output: Name of the output that is the vector; None takes the only one, or the only one named like "emb".

        Raises:
            ConfigError: If there is no such front end or output, or the network does not fit the front end.
            ModelError: If the file is missing, another one, or no network; if onnxruntime is missing.
        """
        super().__init__()
        self._path, self._sha256 = find_file(path), sha256
        found = sha256_of_file(self._path)
        if found != sha256:
            raise ModelError(
                f"{self._path} is another file than the model was made with: sha256 {found[:16]}..., not "
                f"{sha256[:16]}...; give that one, or its folder by ${FOLDER_VARIABLE}"
            )
        self.front_end = build_front_end(frontend)
        session = _session(str(self._path), sha256)
        self._one_by_one = session.get_inputs()[0].shape[:1] == [1]
        self._output = _choose_output(self._path, [item.name for item in session.get_outputs()], output)
        noise = torch.randn(1, SAMPLE_RATE, generator=torch.Generator().manual_seed(0))
        self.hidden_size = self(0.1 * noise).shape[1]

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a batch of recordings, without gradients.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz.

        Returns:
            [N, H].

        Raises:
            ModelError: If the network can't compute it, or torch is exporting the model.
        """
        if torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export():
            raise ModelError(f"{self._path}: a model whose backbone is an ONNX file can't be exported")
        with torch.no_grad(), torch.autocast(waveform.device.type, enabled=False):
            features = self.front_end(waveform.float()).cpu().numpy()
        batches = np.split(features, len(features)) if self._one_by_one else [features]
        rows = np.concatenate([self._run(batch) for batch in batches])
        return torch.from_numpy(rows).to(waveform.device)

    def _run(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        session = _session(str(self._path), self._sha256)
        first, *others = session.get_inputs()
        num_rows, num_frames = len(features), features.shape[self.front_end.time_axis]
        feed = {first.name: features}
        for item in others:  # the length of each row: a number of frames, or a share of the longest
            kind = {"tensor(int64)": "i8", "tensor(int32)": "i4"}.get(item.type, "f4")
            feed[item.name] = np.full(num_rows, 1.0 if kind == "f4" else num_frames, kind)
        try:
            (vectors,) = session.run([self._output], feed)
        except Exception as error:  # onnxruntime's exceptions share no public base
            reason = str(error).splitlines()[0][:200]
            raise ModelError(
                f"{self._path} can't take {list(features.shape)} as its input {first.name} {first.shape}: is the "
                f"frontend right, and the window long enough? ({reason})"
            ) from None
        return np.asarray(vectors, np.float32).reshape(num_rows, -1)


def complete_options(path: str, options: dict[str, Any]) -> dict[str, Any]:
    """Add what a model keeps of a file: its hash, and the front end of a known one.

    Raises:
        ConfigError: If the front end is neither given nor known.
        ModelError: If the file is missing.
    """
    known = PUBLISHED.get(Path(path).name)
    if "frontend" not in options and known is None:
        raise ConfigError(
            f"onnx:{path} needs its frontend (wespeaker, 3dspeaker, speechbrain, nemo or waveform): backbone_options "
            '{"frontend": "wespeaker"}'
        )
    defaults = {"frontend": known.front_end} if known else {}
    return {**defaults, "sha256": sha256_of_file(find_file(path)), **options}


def find_file(path: str) -> Path:
    """The file of a path's name in the folder of `FOLDER_VARIABLE`, else the one at the path itself.

    Raises:
        ModelError: If there is none; the message says where a published one is.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    places = [*([Path(folder, Path(path).name)] if folder else []), Path(path)]
    for place in places:
        if place.is_file():
            return place
    known = PUBLISHED.get(Path(path).name)
    hint = (
        f"{known.title} (licence {known.licence}, equal error rate {known.error_rate:.2f} % on VoxCeleb1-O) is at "
        f"{known.source}"
        if known
        else "docs/models.md says where the usual networks are"
    )
    raise ModelError(f"onnx:{path}: no such file, nor in the folder ${FOLDER_VARIABLE}; {hint}")


@functools.lru_cache(maxsize=8)
def _session(path: str, sha256: str) -> Any:
    """Open a file once a process; the hash tells files apart that took one another's place."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"onnx backbones need {error.name}: pip install 'wav2face[faces]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # errors are raised as well
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base
        raise ModelError(f"{path}: onnxruntime can't load it: {str(error).splitlines()[0][:200]}") from None


def _choose_output(path: Path, names: list[str], wanted: str | None) -> str:
    likely = names if len(names) == 1 else [name for name in names if "emb" in name.lower()]
    if wanted is None and len(likely) == 1:
        return likely[0]
    if wanted in names:
        return str(wanted)
    raise ConfigError(f"{path} has the outputs {', '.join(names)}: name the vector by backbone_options.output")
