from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from data.errors import ConfigError
from training.config import build_config, config_to_dict, parse_config, write_config


@dataclass(frozen=True)
class Network:
    width: int = 8
    strides: tuple[int, ...] = (1, 2)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    out: str
    resume: bool = False
    dry_run: bool = False
    rate: float = 1e-3
    kind: Literal["small", "large"] | None = None
    network: Network = field(default_factory=Network)
    weights: dict[str, float] = field(default_factory=dict)


def parse(*argv: str) -> Recipe:
    return parse_config(Recipe, list(argv), "A recipe.")


def test_flags_override_later_files_which_override_earlier_ones(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("out: a\nrate: 1e-4\nnetwork: {width: 3, strides: [2, 2]}\n")
    (tmp_path / "b.yaml").write_text("rate: 0.5\nnetwork:\n  width: 4\n")
    config = parse(
        "--config",
        str(tmp_path / "a.yaml"),
        f"--config={tmp_path / 'b.yaml'}",
        "--network.width=5",
        "--out",
        "b",
    )
    assert config == Recipe(out="b", rate=0.5, network=Network(5, (2, 2)))


@pytest.mark.parametrize("flag", ["--dry-run", "--dry_run", "--dry-run=true", "--dry_run true"])
def test_a_boolean_flag_may_stand_alone_and_be_spelt_with_a_dash(flag: str) -> None:
    assert parse(*flag.split(), "--out", "a") == Recipe(out="a", dry_run=True)
    assert parse("--out", "a", *flag.split()) == Recipe(out="a", dry_run=True)


def test_a_key_of_a_plain_mapping_is_a_flag_too() -> None:
    assert parse("--out", "a", "--weights.identity", "0.3").weights == {"identity": 0.3}


def test_a_written_config_is_read_back_equal(tmp_path: Path) -> None:
    config = Recipe(out="ä", rate=1e-5, kind="large", network=Network(2, (3,)), weights={"x": 1.5})
    write_config(config, tmp_path / "config.yaml")
    assert parse("--config", str(tmp_path / "config.yaml")) == config
    assert build_config(Recipe, config_to_dict(config), "here") == config


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("network: {widht: 3}", "unknown key 'network.widht' in {file}; did you mean 'network.width'?"),
        ("zzz: 3", "unknown key 'zzz' in {file}; known keys: out, resume,"),
        ("network: {width: wide}", "network.width: int expected, got 'wide' ({file})"),
        ("kind: medium", "kind: 'small' or 'large' or null expected, got 'medium' ({file})"),
        ("network: [", "{file} is not valid YAML"),
        ("[1, 2]", "{file}: the file should hold keys and values"),
        ("network: 3", "{file}: network should hold keys and values"),
        ("rate: 1", "out"),
    ],
)
def test_a_mistake_in_a_file_is_one_line_that_names_key_and_file(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        parse("--config", str(file))
    assert says.format(file=file) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--out", "a", "--network.widht", "3"], "did you mean 'network.width'?"),
        (["--out", "a", "--config", "missing.yaml"], "can't read the config file missing.yaml"),
        (["--out", "a", "--rate", "fast"], "rate: float expected, got 'fast'"),
        (["--out", "a", "surplus"], "surplus"),
        (["--out"], "out"),
        (["--out", "a", "--config"], "config"),
    ],
)
def test_a_mistake_on_the_command_line_is_a_config_error(argv: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(*argv)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_quiet_is_no_key_and_silences_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # put back afterwards
    assert parse("--out", "a") == parse("--quiet", "--out", "a")
    print("chatter")
    assert capsys.readouterr().out == ""


def test_help_shows_the_keys(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse("--help")
    assert exit_.value.code == 0
    assert "--network.width" in capsys.readouterr().out
