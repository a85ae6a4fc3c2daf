"""Write docs/api.md, the public API as its docstrings tell it: python scripts/make_api.py (or make api)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wav2face
from data.errors import ModelError
from training.command import CommandParser, run_command

ROOT = Path(__file__).resolve().parents[1]


def main(argv: list[str]) -> None:
    """Parse, write; the page's path is the last line."""
    parser = CommandParser(description="Write the public API, as its docstrings tell it, as a page of Markdown.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "api.md", help="the page (default: docs/api.md)")
    arguments = parser.parse_args(argv)
    arguments.out.write_text("\n\n".join(api_page()) + "\n", encoding="utf-8")
    print(arguments.out)


def api_page() -> Iterator[str]:
    """Blocks of Markdown: for each public name a heading, its signature, its docstring; of classes their members, too.

    Raises:
        ModelError: If pdoc is not installed.
    """
    try:
        import pdoc.doc
    except ModuleNotFoundError:
        raise ModelError("pdoc is missing: pip install 'wav2face[dev]'") from None
    names = sorted(set(wav2face.__all__) - {"__version__"}, key=str.lower)
    for name in names:
        getattr(wav2face, name)  # imported when first used: pdoc looks at what is there
    module = pdoc.doc.Module(wav2face)
    yield f"# wav2face {wav2face.__version__}"
    yield module.docstring
    for name in names:
        member = module.get(name)
        yield f"## {name}"
        if isinstance(member, pdoc.doc.Class):
            constructor = member.get("__init__")
            yield from _describe(member, f"class {name}", getattr(constructor, "signature_without_self", "()"))
            for method in _methods(member):
                yield f"### {name}.{method.name}"
                yield from _describe(method, method.name, getattr(method, "signature_without_self", ""))
        else:
            yield from _describe(member, name, getattr(member, "signature", f" = {getattr(wav2face, name)!r}"))


def _methods(member: Any) -> Iterator[Any]:
    """Public methods and properties of a class that have a docstring, its own and those of our base classes."""
    for (module, _), methods in {("", ""): member.own_members, **member.inherited_members}.items():
        if not module or module.partition(".")[0] in ("data", "encoder", "eval", "gan", "training"):
            public = (one for one in methods if one.name == "__call__" or not one.name.startswith("_"))
            yield from (one for one in public if one.docstring)


def _describe(member: Any, name: str, signature: object) -> Iterator[str]:
    """Signature and docstring of a function, class or constant."""
    import pdoc.docstrings

    yield f"```python\n{name}{signature}\n```"
    # Examples in fences, or Markdown takes their prompts for quotations.
    fenced = re.sub(r"^( *)(>>> (?:.|\n(?!\n))*)", r"\1```python\n\1\2\n\1```", member.docstring, flags=re.MULTILINE)
    text = pdoc.docstrings.google(fenced)
    yield re.sub(r"\n{3,}", "\n\n", re.sub(r"^#{6} (\w+):", r"**\1**", text, flags=re.MULTILINE)).strip()


if __name__ == "__main__":
    run_command(main)
