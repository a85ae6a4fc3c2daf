"""Pages as one HTML file with its style sheet inside, rendered from a template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from data.files import write_file
from training.pipeline_progress import format_seconds

PAGE_NAME = "index.html"

_COMMON = Path(__file__).parent


def render_page(out: Path, template: Path, context: dict[str, Any]) -> Path:
    """Write a page.

    Args:
        out: Folder of the page.
        template: Jinja template; a `style.css` in its folder is added to the style sheet that all pages share.
        context: Variables of the template; text in them is escaped.

    Returns:
        The page's path.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, _COMMON]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"time": format_seconds, "ordinal": _ordinal}
    sheets = [sheet for folder in (_COMMON, template.parent) if (sheet := folder / "style.css").is_file()]
    style = Markup("".join(sheet.read_text(encoding="utf-8") for sheet in sheets))  # ours: not escaped
    page = environment.get_template(template.name).render(style=style, **context)
    path = out / PAGE_NAME
    write_file(path, page)
    return path


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{({1: 'st', 2: 'nd', 3: 'rd'}).get(number % 10, 'th')}"
