"""Frozen dataclasses from YAML files and dotted flags, and back; an unknown key is an error."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from data.errors import ConfigError
from data.files import write_file
from training.command import QUIET, QUIET_HELP
from training.terminal import silence

T = TypeVar("T")


def parse_config(config_class: type[T], argv: list[str], description: str) -> T:
    """Build a config from a command line.

    `--config FILE.yaml` is read first (of several files the later ones win), then dotted flags set single keys:
    `--model.width 64`, `--dry-run`, `--resume`. Dashes and underscores in flags are the same; a boolean flag
    may stand alone. `--quiet`, which is no key, silences the process.

    Args:
        config_class: A frozen dataclass; its fields may be dataclasses. A class attribute `renamed_keys`, old dotted
            key -> new one, lets the message for an old key name the new one.
        argv: Arguments without the program's name.
        description: Text of `--help`.

    Raises:
        ConfigError: For an unreadable file, an unknown, a renamed or a missing key, or a value of the wrong type.
    """
    schema = _Schema(config_class)
    arguments = list(_normalised(argv, schema.keys))
    files = [value for flag, value in _flags(arguments) if flag == "config" and value is not None]
    for file in files:
        schema.check(_read_yaml(Path(file)), file)
    for flag, value in _flags(arguments):
        if flag not in ("config", "help", "print_config", "quiet"):
            schema.check_key(flag, value, "the command line")
    parser = _parser(config_class, description)
    parser.add_argument("--config", action="config", help="YAML file with any of the keys below")
    parser.epilog = f"{QUIET}: {QUIET_HELP}"  # no key, which --print_config would write
    keyed = [argument for argument in arguments if argument != QUIET]
    config = _instantiate(parser, config_class, lambda: parser.parse_args(keyed), " and ".join(files))
    if keyed != arguments:
        silence()
    return config


def build_config(config_class: type[T], mapping: Mapping[str, Any], where: str) -> T:
    """Build a config from nested mappings, such as a model's config.json.

    Args:
        config_class: A frozen dataclass; its fields may be dataclasses.
        mapping: Values by field name.
        where: Name of the mapping in errors.

    Raises:
        ConfigError: As `parse_config`.
    """
    _Schema(config_class).check(mapping, where)
    parser = _parser(config_class, "")
    return _instantiate(parser, config_class, lambda: parser.parse_object(dict(mapping)), where)


def config_to_dict(config: Any) -> dict[str, Any]:
    """Turn a config into nested dicts, lists and scalars, as YAML and JSON take them."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return str(value) if isinstance(value, Path) else value

    result = plain(dataclasses.asdict(config))
    assert isinstance(result, dict)
    return result


def write_config(config: Any, path: str | Path) -> None:
    """Write a config (or its dict) as YAML that `parse_config` reads back."""
    mapping = config if isinstance(config, dict) else config_to_dict(config)
    write_file(Path(path), yaml.safe_dump(mapping, sort_keys=False, allow_unicode=True))


def _parser(config_class: type, description: str) -> Any:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(description=description, exit_on_error=False)
    parser.add_class_arguments(config_class)
    return parser


def _instantiate(parser: Any, config_class: type[T], parse: Any, where: str) -> T:
    try:
        values = parser.instantiate(parse())
    except (argparse.ArgumentError, TypeError) as error:
        raise ConfigError(_one_line(str(error), config_class, where)) from None
    return config_class(**{field.name: values[field.name] for field in dataclasses.fields(config_class)})  # type: ignore[arg-type]


def _one_line(message: str, config_class: type, where: str) -> str:
    suffix = f" ({where})" if where else ""
    wrong_value = re.match(r'Parser key "(?P<key>[\w.]+)"', message)
    hint = _keys(config_class).get(wrong_value["key"]) if wrong_value else None
    value = re.search(r"(?:Got value|Given value): (.*?)(?:\n|$)", message)
    if wrong_value and hint is not None and value:
        return f"{wrong_value['key']}: {_describe(hint)} expected, got {value[1]!r}{suffix}"
    return " ".join(message.split()) + suffix


def _describe(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(map(repr, typing.get_args(hint)))
    if hint is type(None):
        return "null"
    if not isinstance(hint, type) and type(None) in typing.get_args(hint):
        return " or ".join(_describe(option) for option in typing.get_args(hint))
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)


def _keys(config_class: type, prefix: str = "") -> dict[str, Any]:
    """Type of every dotted key; nested dataclasses are keys too."""
    keys: dict[str, Any] = {}
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        hint = hints[field.name]
        keys[prefix + field.name] = hint
        if dataclasses.is_dataclass(hint):
            keys |= _keys(typing.cast(type, hint), f"{prefix}{field.name}.")
    return keys


class _Schema:
    """Known keys of a config class, and new names of renamed keys."""

    def __init__(self, config_class: type) -> None:
        self.keys = _keys(config_class)
        self._renamed: Mapping[str, str] = getattr(config_class, "renamed_keys", {})

    def check(self, mapping: Any, where: str, prefix: str = "") -> None:
        """Refuse mappings with keys that are not known.

        Raises:
            ConfigError: Names the key, and the nearest known one or the new name.
        """
        if not isinstance(mapping, Mapping):
            raise ConfigError(f"{where}: {prefix.rstrip('.') or 'the file'} should hold keys and values")
        for name, value in mapping.items():
            key = f"{prefix}{name}"
            self.check_key(key, value, where)
            if dataclasses.is_dataclass(self.keys[key]) and not isinstance(value, str):  # text: the name of a file
                self.check(value, where, f"{key}.")

    def check_key(self, key: str, value: Any, where: str) -> None:
        """Refuse a dotted key that is not known, and a number where a key holds others, such as a schedule.

        Raises:
            ConfigError: As `check`.
        """
        parents = (key.rsplit(".", count)[0] for count in range(1, key.count(".") + 1))
        # A plain mapping or an optional dataclass is a leaf here; what is below it is checked by its type.
        if key not in self.keys and not any(
            parent in self.keys and not dataclasses.is_dataclass(self.keys[parent]) for parent in parents
        ):
            if key in self._renamed:
                raise ConfigError(f"{key} was renamed: {self._renamed[key]} (in {where})")
            nearest = difflib.get_close_matches(key, self.keys, n=1, cutoff=0.5)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else f"; known keys: {', '.join(self.keys)}"
            raise ConfigError(f"unknown key {key!r} in {where}{hint}")
        parts = [other for other in self.keys if other.startswith(f"{key}.")]
        if parts and _is_number(value):
            known = ", ".join(parts)
            raise ConfigError(f"{where}: {key} should hold keys and values, not the number {value}; keys: {known}")


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't read the config file {path}: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def _normalised(argv: list[str], keys: Mapping[str, Any]) -> Iterator[str]:
    """Replace dashes in flags by underscores, and give a boolean flag that stands alone its value."""
    for position, token in enumerate(argv):
        if not token.startswith("--"):
            yield token
            continue
        name, equals, value = token[2:].partition("=")
        name = name.replace("-", "_")
        alone = not equals and (position + 1 == len(argv) or argv[position + 1].startswith("--"))
        yield f"--{name}=true" if alone and keys.get(name) is bool else f"--{name}{equals}{value}"


def _flags(arguments: list[str]) -> Iterator[tuple[str, str | None]]:
    for position, token in enumerate(arguments):
        if token.startswith("--"):
            name, equals, value = token[2:].partition("=")
            following = arguments[position + 1] if position + 1 < len(arguments) else None
            yield name, value if equals else following
