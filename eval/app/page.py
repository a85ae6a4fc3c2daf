"""The page itself: a microphone, sliders, drawings."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from torch import Tensor

from data.errors import Wav2FaceError, one_line
from data.media.waveform import SAMPLE_RATE
from eval.app.drawing import Artist, to_figures, to_image
from eval.app.hearing import Heard, draw_spectrogram, hear
from eval.app.limits import MAX_DRAWINGS, Limits
from eval.app.personas import PersonaVoice

STYLE = """
.drawings { display: grid; grid-template-columns: repeat(auto-fill, minmax(130px, 160px)); gap: 8px; }
.drawings a, .drawings img { display: block; width: 100%; height: auto; margin: 0 !important; padding: 0 !important; }
.drawings img { border-radius: 6px; }
img.wide { width: 100%; height: 140px; border-radius: 6px; }
#heard { min-height: 1.6em; }
"""

THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])

_INTRODUCTION = """# Speak, and see

**Plausible faces that a voice suggests, not portraits of the speaker:** a voice does not tell who someone is. Not for
identifying or judging anyone. Drawings are synthetic and say so in the file. What is missing in a model's training data
it can't draw.
"""

_PRIVACY = """A recording of up to {seconds:.0f} s or {megabytes:.0f} MB is deleted as soon as it is drawn; nothing of
it is logged. What the page shows, and one vector for its sliders, stay in
memory for {minutes:.0f} minutes at most."""

_SHIPPED = """
This model learnt from made-up people with synthetic voices: what it draws for a real voice is a demonstration.
"""

_HELP = """Variety is how much of what a voice leaves open is sampled: 0 draws the most telling face, 1 all faces that
people with such a voice have. The seed repeats drawings."""

_NOTHING = ""

Shown = tuple[Tensor | None, str, str, str]
"""What the page remembers, and the contents of heard, spectrogram and drawings."""


class Visit:
    """What the page's controls do; it holds the model and nothing of a visitor."""

    def __init__(self, artist: Artist, limits: Limits, voices: Sequence[PersonaVoice]) -> None:
        self._artist, self._limits, self._voices = artist, limits, voices

    def hear_file(self, path: str | None, variety: float, number: float, seed: float, tell: bool) -> Shown:
        """Draw a recording or an upload, and delete it."""
        if path is None:
            return self.forget()
        try:
            return self._show(lambda: hear(path, self._limits.max_seconds), variety, number, seed, tell)
        finally:
            with contextlib.suppress(OSError):
                Path(path).unlink(missing_ok=True)
                Path(path).parent.rmdir()  # gradio makes a folder for each upload

    def forget(self) -> Shown:
        """Empty the page."""
        return None, _NOTHING, _NOTHING, _NOTHING

    def hear_persona(
        self, index: int, variety: float, number: float, seed: float, tell: bool
    ) -> tuple[tuple[int, Any], Tensor | None, str, str, str]:
        """Draw a persona, and let the visitor hear it."""
        speech = self._voices[index].speech

        def heard() -> Heard:
            level = 10 * float(np.log10(np.mean(np.square(speech, dtype=np.float64))))
            return Heard(speech, len(speech) / SAMPLE_RATE, level, is_distorted=False)

        sound = (SAMPLE_RATE, (speech * 32767).astype(np.int16))
        return (sound, *self._show(heard, variety, number, seed, tell))

    def draw_again(self, feature: Tensor | None, variety: float, number: float, seed: float) -> str:
        """Draw the voice that was heard last, after a control was moved."""
        if feature is None:
            return _NOTHING
        try:
            return self._figures(feature, variety, number, seed)
        except Wav2FaceError as error:
            return _error(error)

    def _show(self, listen: Callable[[], Heard], variety: float, number: float, seed: float, tell: bool) -> Shown:
        try:
            heard = listen()
            feature = self._artist.listen(heard.speech)
            figures = self._figures(feature, variety, number, seed)
            told = self._artist.describe(feature, int(seed or 0)) if tell else ""
        except Wav2FaceError as error:
            return None, _error(error), _NOTHING, _NOTHING
        sentence = f"{heard.sentence}; {told}" if told else heard.sentence
        return feature, sentence, to_image(draw_spectrogram(heard.speech), "spectrogram of the speech"), figures

    def _figures(self, feature: Tensor, variety: float, number: float, seed: float) -> str:
        pictures = self._artist.draw(feature, float(variety), int(number), int(seed or 0))
        return to_figures(pictures, int(seed or 0))


def build_page(
    artist: Artist, limits: Limits, voices: Sequence[PersonaVoice] = (), *, is_shipped: bool = False
) -> gr.Blocks:
    """Build the page.

    Args:
        artist: Model that draws.
        limits: What a visitor may ask for.
        voices: Personas to try with.
        is_shipped: Whether the model is the one of personas, which the page then says.
    """
    visit = Visit(artist, limits, voices)
    with gr.Blocks(title="wav2face: speak, and see", analytics_enabled=False) as page:
        gr.Markdown(_INTRODUCTION + _SHIPPED * is_shipped)
        feature = gr.State(None, time_to_live=limits.keep_seconds)
        with gr.Row():
            with gr.Column():
                voice = gr.Audio(
                    sources=["microphone", "upload"],
                    type="filepath",
                    label="your voice: a few seconds of speech",
                    elem_id="voice",
                    editable=False,
                    buttons=[],
                )
                buttons = []
                if voices:
                    gr.Markdown("or the voice of a persona, a made-up person:")
                    with gr.Row():
                        buttons = [
                            gr.Button(persona.name, size="sm", elem_id=f"persona-{index}")
                            for index, persona in enumerate(voices)
                        ]
            with gr.Column():
                variety = gr.Slider(
                    0, 1, value=float(artist.has_variety), step=0.05, label="variety", elem_id="variety",
                    interactive=artist.has_variety,
                )  # fmt: skip
                number = gr.Slider(1, MAX_DRAWINGS, value=8, step=1, label="drawings", elem_id="number")
                seed = gr.Number(0, precision=0, minimum=0, maximum=2**32 - 1, label="seed", elem_id="seed")
                tell = gr.Checkbox(
                    False, label="tell sex and age that a drawing shows", visible=artist.reader is not None
                )
        heard = gr.Markdown(elem_id="heard")
        drawings = gr.HTML(elem_id="drawings")
        spectrogram = gr.HTML(elem_id="spectrogram")
        gr.Markdown(
            _HELP
            + "\n\n"
            + _PRIVACY.format(
                seconds=limits.max_seconds, megabytes=limits.max_bytes / 1e6, minutes=limits.keep_seconds / 60
            )
        )
        settings, shown = [variety, number, seed], [feature, heard, spectrogram, drawings]
        options: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "model", "concurrency_limit": 1}
        gr.on([voice.stop_recording, voice.upload], visit.hear_file, [voice, *settings, tell], shown, **options)
        voice.clear(visit.forget, None, shown, **options)
        for index, button in enumerate(buttons):
            hear_persona = functools.partial(visit.hear_persona, index)
            button.click(hear_persona, [*settings, tell], [voice, *shown], **options)
        moved = [variety.release, number.release, seed.change]
        gr.on(moved, visit.draw_again, [feature, *settings], drawings, show_progress="hidden", **options)
    page.queue(max_size=limits.queue_size, default_concurrency_limit=1)
    return page


def _error(error: Wav2FaceError) -> str:
    return f"**error:** {one_line(error)}"
