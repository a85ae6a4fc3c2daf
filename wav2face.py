"""The public API of wav2face: hear a voice, draw a face it suggests.

**A voice does not tell who someone is.** Drawings are plausible faces, not portraits of the speaker.

    >>> from wav2face import Voice2Face, save_drawing, shipped_weights
    >>> model = Voice2Face.from_pretrained(shipped_weights("model"))
    >>> drawings = model("me.wav", num_images=8, seed=0)
    >>> telling = model("me.wav", num_images=1, variety=0)[0]
    >>> save_drawing(telling, "me.png")

A voice leaves most of a face open. `variety` says how much of it the drawings fill in: 0 draws the most telling face, 1
all faces that people with such a voice have. The default is 1, or 0 for a model without a sampler.

What there is, each name with an example of its own (`help(wav2face.load_speech)`):

- Models: `Voice2Face` draws, `VoiceEncoder` regresses and samples face features, and embeds voices and faces for
  retrieval; `shipped_weights` finds the small models that ship, `save_drawing` writes a PNG that says it is synthetic.
- Sound: `read_waveform` decodes any recording, `prepare_speech` makes of it what models hear, `load_speech` does both.
- Faces: `read_image` decodes a photograph, `load_analyzer` gives a detector with a face network, `load_recognizer` a
  face network alone.
- Data sets: `ClipDataset` reads one, `Clip` is one of its rows.
- Measures: `count_ranks` for retrieval, `frechet_distance` between two sets of images whose features
  `GaussianStatistics` has summed up.
- Errors: whatever a user can mend is a `Wav2FaceError` with a message of one line.

    >>> from wav2face import MediaError, load_speech
    >>> try:
    ...     load_speech("silence.wav")
    ... except MediaError as error:
    ...     print(error.reason)
    silent

Names are imported when they are first used, so that `import wav2face` takes no time. The packages behind them (`data`,
`encoder`, `gan`, `eval`, `training`) have plain names: where Python finds another package of such a name first,
importing wav2face raises an `ImportError` that says where that one is.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data.errors import ConfigError, DatasetError, MediaError, ModelError, OutputError, Wav2FaceError
    from data.faces.registry import load_analyzer, load_recognizer
    from data.faces.shipped import shipped_weights
    from data.media.audio import load_speech, prepare_speech, read_waveform
    from data.media.images import read_image
    from data.media.waveform import SAMPLE_RATE
    from data.store.clip import Clip
    from data.store.dataset import ClipDataset
    from encoder.voice_encoder import VoiceEncoder
    from eval.retrieval.ranks import count_ranks
    from gan.frechet import GaussianStatistics, frechet_distance
    from gan.voice2face import Voice2Face, save_drawing

__version__ = "0.1.0"

__all__ = [
    "SAMPLE_RATE",
    "Clip",
    "ClipDataset",
    "ConfigError",
    "DatasetError",
    "GaussianStatistics",
    "MediaError",
    "ModelError",
    "OutputError",
    "Voice2Face",
    "VoiceEncoder",
    "Wav2FaceError",
    "__version__",
    "count_ranks",
    "frechet_distance",
    "load_analyzer",
    "load_recognizer",
    "load_speech",
    "prepare_speech",
    "read_image",
    "read_waveform",
    "save_drawing",
    "shipped_weights",
]

# The same as the imports above, for when a name is first used; a test compares the two.
_MODULE_OF = {
    "SAMPLE_RATE": "data.media.waveform",
    "Clip": "data.store.clip",
    "ClipDataset": "data.store.dataset",
    "ConfigError": "data.errors",
    "DatasetError": "data.errors",
    "GaussianStatistics": "gan.frechet",
    "MediaError": "data.errors",
    "ModelError": "data.errors",
    "OutputError": "data.errors",
    "Voice2Face": "gan.voice2face",
    "VoiceEncoder": "encoder.voice_encoder",
    "Wav2FaceError": "data.errors",
    "count_ranks": "eval.retrieval.ranks",
    "frechet_distance": "gan.frechet",
    "load_analyzer": "data.faces.registry",
    "load_recognizer": "data.faces.registry",
    "load_speech": "data.media.audio",
    "prepare_speech": "data.media.audio",
    "read_image": "data.media.images",
    "read_waveform": "data.media.audio",
    "save_drawing": "gan.voice2face",
    "shipped_weights": "data.faces.shipped",
}

_PACKAGES = ("data", "encoder", "eval", "gan", "training")


def _refuse_other_packages() -> None:
    """Check that our packages are the ones that Python finds, without importing them.

    Raises:
        ImportError: If another package or module of the same name comes first, or ours is missing.
    """
    here = Path(__file__).resolve().parent
    for name in _PACKAGES:
        if name in sys.modules:
            module = sys.modules[name]
            places = [*getattr(module, "__path__", ()), getattr(module, "__file__", None) or ""]
        else:
            spec = importlib.util.find_spec(name)
            if spec is None:
                raise ImportError(f"wav2face: its package '{name}' is missing from {here}; install wav2face again")
            places = [*(spec.submodule_search_locations or ()), spec.origin or ""]
        if not any(Path(place).resolve() == here / name for place in places if place):
            other = next(filter(None, places), "another module")
            raise ImportError(
                f"wav2face: Python finds another '{name}' ({other}) before wav2face's own ({here / name}); rename or "
                f"move that one, start Python in another folder, or put {here} first in PYTHONPATH",
                name=name,
                path=other,
            )


_refuse_other_packages()


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'wav2face' has no attribute '{name}'")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
