"""The speech synthesizer espeak-ng, called by ctypes from the wheel espeakng-loader; no system package is needed.

espeak-ng has one engine a process, in global variables, and some of its state (flutter, roughness, phases of waves)
is not reset by any call. `EspeakEngine.fresh` therefore loads the library for each clip and unloads it afterwards: it
takes a third of a millisecond, and a clip depends on its arguments alone.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import ModelError

ESPEAK_RATE = 22_050
"""Sample rate of espeak-ng, Hz."""

_SYNCHRONOUS_RETRIEVAL = 2
_DONT_EXIT_ON_ERRORS = 0x8000
_RATE_PARAMETER = 1
_TEXT_IS_UTF8 = 1
_VARIANT = "persona"

_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class EspeakEngine:
    """espeak-ng with a private folder of voices: links to the wheel's data, and one voice variant of our own."""

    def __init__(self) -> None:
        """Prepare the folder and check that the library can be loaded.

        Raises:
            ModelError: If the wheel is not installed or its library can't be used here.
        """
        try:
            import espeakng_loader
        except ImportError as error:
            raise ModelError(
                "the personas' voices need espeak-ng (package espeakng-loader): pip install 'wav2face[personas]'"
            ) from error
        self._library_path = str(espeakng_loader.get_library_path())
        self._folder = tempfile.TemporaryDirectory(prefix="wav2face-voices-")
        self._variant_path = _link_data(Path(espeakng_loader.get_data_path()), Path(self._folder.name))
        self._pieces: list[NDArray[np.int16]] = []
        self._callback = _SynthCallback(self._collect)
        self._library: Any = None
        try:
            with self.fresh():
                pass
        except ModelError:
            self.close()
            raise

    def close(self) -> None:
        """Remove the private folder."""
        self._folder.cleanup()

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """Context in which the engine can speak, with its state reset; one engine at a time in a process.

        Raises:
            ModelError: If the library can't be loaded.
        """
        try:
            self._library = ctypes.CDLL(self._library_path)
        except OSError as error:
            raise ModelError(f"{self._library_path}: espeak-ng can't be loaded: {error}") from error
        try:
            self._start()
            yield
        finally:
            self._unload()

    def _start(self) -> None:
        rate = self._library.espeak_Initialize(
            _SYNCHRONOUS_RETRIEVAL, 0, os.fsencode(self._folder.name), _DONT_EXIT_ON_ERRORS
        )
        if rate != ESPEAK_RATE:
            raise ModelError(f"{self._library_path}: espeak-ng does not start (answer {rate})")
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            *[ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint],
            *[ctypes.c_void_p, ctypes.c_void_p],
        ]

    def choose_voice(self, accent: str, variant: str, words_per_minute: int) -> None:
        """Set the voice and the speed of the texts that follow.

        Args:
            accent: Language file below espeak-ng's `lang`, such as `gmw/en-US`.
            variant: Content of a voice variant file.
            words_per_minute: Speed, 80 to 450.
        """
        self._variant_path.write_text(variant, encoding="ascii")
        answer = self._library.espeak_SetVoiceByName(f"{accent}+{_VARIANT}".encode())
        assert answer == 0, f"espeak-ng refuses the voice {accent} (answer {answer})"
        self._library.espeak_SetParameter(_RATE_PARAMETER, words_per_minute, 0)

    def speak(self, text: str) -> NDArray[np.float32]:
        """Speech of a text: [T] float32 in [-1, 1] at `ESPEAK_RATE`."""
        self._pieces.clear()
        data = text.encode() + b"\0"
        self._library.espeak_Synth(data, len(data), 0, 1, 0, _TEXT_IS_UTF8, None, None)
        self._library.espeak_Synchronize()
        return np.concatenate(self._pieces).astype(np.float32) / np.float32(32768)

    def _collect(self, samples: Any, num_samples: int, events: Any) -> int:
        if samples and num_samples > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (num_samples,)).copy())
        return 0

    def _unload(self) -> None:
        import _ctypes

        self._library.espeak_Terminate()
        handle, self._library = self._library._handle, None
        _ctypes.dlclose(handle)


def _link_data(source: Path, folder: Path) -> Path:
    """Link espeak-ng's data, without its voices, into a folder; returns the path of the voice variant to write."""
    data = folder / "espeak-ng-data"
    variants = data / "voices" / "!v"
    variants.mkdir(parents=True)
    for entry in source.iterdir():
        if entry.name != "voices":
            (data / entry.name).symlink_to(entry)
    return variants / _VARIANT
