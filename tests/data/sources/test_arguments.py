from __future__ import annotations

import argparse

import pytest

from data.errors import ConfigError
from data.sources.arguments import add_face_arguments, face_settings
from data.sources.recipe import FaceRecipe


def settings_of(*arguments: str) -> FaceRecipe:
    parser = argparse.ArgumentParser()
    add_face_arguments(parser, classic=True)
    return FaceRecipe(**face_settings(parser.parse_args(arguments)))


@pytest.mark.parametrize(
    ("arguments", "analyzer"),
    [
        ([], "insightface:buffalo_l"),
        (["--face-analyzer", "aligned:dlib"], "aligned:dlib"),
        (["--insightface-pack", "small"], "insightface:small"),
        (["--face-extraction-model", "insightface"], "insightface:buffalo_l"),
        (["--face-extraction-model", "hog"], "dlib"),
        (["--face-extraction-model", "cnn", "--face-analyzer", "dlib:cnn"], "dlib:cnn"),
        (["--face-analyzer", "insightface:small", "--insightface-pack", "small"], "insightface:small"),
    ],
)
def test_the_classic_names_mean_a_face_analyzer(arguments: list[str], analyzer: str) -> None:
    assert settings_of(*arguments) == FaceRecipe(analyzer)


@pytest.mark.parametrize(
    "classic", [["--insightface-pack", "small"], ["--face-extraction-model", "hog"], ["--face-extraction-model", "cnn"]]
)
def test_names_that_disagree_are_refused(classic: list[str]) -> None:
    with pytest.raises(ConfigError, match="give one of them"):
        settings_of("--face-analyzer", "insightface:buffalo_l", *classic)


def test_the_encoder_is_another_setting_than_the_analyzer() -> None:
    assert settings_of("--face-encoder", "personas", "--face-size", "64") == FaceRecipe(
        "insightface:buffalo_l", face_encoder="personas", face_size=64
    )
