"""Drawings of the page."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.errors import ConfigError
from data.faces.shipped import shipped_weights
from data.media.audio import read_waveform
from eval.app.drawing import Artist, load_artist, to_figures
from eval.app.hearing import hear
from eval.app.personas import make_voices
from gan.voice2face import SYNTHETIC_NOTICE, Voice2Face


@pytest.fixture(scope="module")
def artist() -> Artist:
    return load_artist(shipped_weights("model"))


@pytest.mark.parametrize("variety", [0.0, 0.6])
def test_the_page_draws_what_the_model_draws(artist: Artist, voice: Path, variety: float) -> None:
    drawn = artist.draw(artist.listen(hear(voice, 60).speech), variety, num_images=3, seed=5)
    expected = artist.model(read_waveform(voice), num_images=3, variety=variety, seed=5)
    assert [picture.tobytes() for picture in drawn] == [picture.tobytes() for picture in expected]


def test_numbers_outside_their_ranges_are_refused(artist: Artist, voice: Path) -> None:
    feature = artist.listen(hear(voice, 60).speech)
    for variety, number, seed in ((1.1, 1, 0), (-0.1, 1, 0), (0, 0, 0), (0, 17, 0), (0, 1, -1), (0, 1, 2**32)):
        with pytest.raises(ConfigError, match="variety is 0 to 1"):
            artist.draw(feature, variety, number, seed)


def test_saved_drawings_say_that_they_are_synthetic() -> None:
    pictures = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    links = re.findall(r'download="([^"]+)" href="data:image/png;base64,([^"]+)"', to_figures(pictures, seed=3))
    assert [name for name, _ in links] == ["drawing-3-0.png", "drawing-3-1.png", "drawings-3.png"]
    for (_, content), size in zip(links, ((8, 8), (8, 8), (16, 8)), strict=True):
        with Image.open(io.BytesIO(base64.b64decode(content))) as saved:
            assert saved.size == size
            assert saved.text["Description"] == SYNTHETIC_NOTICE  # type: ignore[attr-defined]


class Reader:
    """Reads brightness as age, and a dark face as a woman's."""

    def read(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        bright = crops.reshape(len(crops), -1).mean(axis=1) / 255
        return bright, 100 * bright


def test_sex_and_age_are_told_where_the_card_allows_alone(
    artist: Artist, voice: Path, tmp_path: Path, tiny_model: Voice2Face
) -> None:
    feature = artist.listen(hear(voice, 60).speech)
    reader: object = Reader()
    assert Artist(artist.model, reader).describe(feature, 0) == ""  # type: ignore[arg-type]
    sentence = Artist(artist.model, reader, ("age",)).describe(feature, 0)  # type: ignore[arg-type]
    assert re.search(r"shows about \d+ years; often wrong", sentence) and "man" not in sentence
    both = Artist(artist.model, reader, ("sex", "age")).describe(feature, 0)  # type: ignore[arg-type]
    assert re.search(r"shows a (wo)?man, about \d+ years", both)
    tiny_model.save_pretrained(tmp_path)
    assert load_artist(tmp_path).told == ()
    with pytest.raises(ConfigError, match="does not allow to tell sex or age"):
        load_artist(tmp_path, attribute_reader="onnx:none.onnx")
    card = (tmp_path / "README.md").read_text()
    (tmp_path / "README.md").write_text(card.replace("---\n", "---\nmay_tell: [age, name]\n", 1))
    assert load_artist(tmp_path).told == ("age",)


def test_personas_to_try_with_are_women_and_men() -> None:
    pytest.importorskip("espeakng_loader")
    voices = make_voices(2)
    assert [voice.name.partition(",")[0] for voice in voices] == ["woman", "man"]
    assert all(len(voice.speech) > 2 * 16_000 for voice in voices)
