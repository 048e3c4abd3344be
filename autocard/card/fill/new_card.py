"""The blank of a new card: the Hub's own template, one of the shipped forms, or a user's file.

One rule: a blank has what a person gave and the form's own placeholders; the run's facts come
later, slot by slot. Users' templates run in Jinja's sandbox.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from autocard.card.fact import Fact
from autocard.card.fill.fill import fill
from autocard.card.form import rendering
from autocard.card.form.label_files import USER_FILE
from autocard.card.form.rendering import RenderError
from autocard.errors import CardError, SettingsError
from autocard.files import expanded, is_file, read_text
from autocard.settings.nearest import did_you_mean

DEFAULT = "huggingface"


def _shipped() -> tuple[str, ...]:
    """Return the default's name, then those of the Markdown files in the folder of templates."""
    folder = files("autocard") / "templates"
    names = {Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".md")}
    return (DEFAULT, *sorted(names - {DEFAULT}))


SHIPPED = _shipped()
"""Names of the shipped forms. The first one is taken from the installed huggingface_hub."""

CARD_DATA = "{{ card_data }}"
"""What stands in the front matter of a blank until that is filled."""

_JINJA_SUFFIXES = (".j2", ".jinja", ".jinja2")
_IN_BRACES = re.compile(r"\{[{%](.*?)[}%]\}", re.DOTALL)
"""{{ grant | default("none") }}, {% if grant %}."""
_OPTIONAL = re.compile(r"[ \t]*\[optional\](?=:?\*\*|[ \t]*$)", re.MULTILINE)
"""In a heading or label: `### Model Sources [optional]`, `- **Demo [optional]:**`."""
_LARGEST = 4 * 1024 * 1024
"""Bytes of a form."""


def check_template(name: str | None, where: str | None = None) -> None:
    """Check before training that a card can be made from *name*: a shipped name, a path or None.

    Args:
        name: of the template.
        where: how a message names the setting; None: by the template's name.

    Raises:
        SettingsError: there is no such template, or it cannot be read or rendered.
    """
    try:
        text = blank(name, {})
    except SettingsError as exc:
        if where is None:
            raise
        msg = f"{where}: {str(exc).partition(': ')[2]}"  # "template 'x': there is none"
        raise SettingsError(msg) from exc
    try:
        fill(text, {"hours_used": Fact("0")}, {"library_name": "none"}, remembered={})
    except CardError as exc:
        msg = f"template: {name}: {exc}. No card can be made from it."
        raise SettingsError(msg) from exc


def label_files(name: str | None, card: Path | None = None) -> tuple[Path, ...]:
    """Return the users' label files that belong to the template *name* and to the *card*."""
    folders = []
    if name is not None and name not in SHIPPED:
        folders.append(Path(name).parent)
    if card is not None:
        folders.append(card.parent)
    found = [folder / USER_FILE for folder in folders]
    return tuple(dict.fromkeys(path for path in found if is_file(path)))


def template_variables(name: str | None) -> frozenset[str]:
    """Return the words in the braces of the user's template *name*; empty for a shipped one.

    Its variables are among them. It is not parsed here: that has limits (`rendering`).

    Raises:
        SettingsError: there is no such template, or it cannot be read.
    """
    if name is None or name in SHIPPED:
        return frozenset()
    return frozenset(re.findall(r"[A-Za-z_]\w*", " ".join(_IN_BRACES.findall(_source(name)))))


def blank(name: str | None, human: Mapping[str, str]) -> str:
    """Return a new card made from the template *name* with what a person gave (*human*) in it.

    Raises:
        SettingsError: there is no such template, or it cannot be read or rendered.
    """
    name = name or DEFAULT
    text = _source(name)
    if _is_jinja(name, text):
        text = _render(name, text, human)
    return _tidy(text) if name in SHIPPED else text


def _tidy(text: str) -> str:
    """Return a shipped form without what is of no use to the readers of a card.

    Empty variables leave gaps, and "[optional]" is for the author.
    """
    without_optional = _OPTIONAL.sub("", text)
    return re.sub(r"\n{3,}", "\n\n", without_optional)


@lru_cache(maxsize=1)
def _hub_template() -> Path | None:
    # Found without importing the package, which takes a good part of a second.
    spec = find_spec("huggingface_hub")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "templates" / "modelcard_template.md"
    return path if is_file(path) else None


def _source(name: str) -> str:
    """Return the text of the template *name*.

    Raises:
        SettingsError: there is no such template, or it cannot be read.
    """
    if name == DEFAULT:
        path = _hub_template()
        if path is None:
            msg = (
                "template: the installed huggingface_hub has no model card template. "
                "Go on with: template='compact'"
            )
            raise SettingsError(msg)
        return read_text(path).replace("\r\n", "\n")
    if name in SHIPPED:
        return (files("autocard") / "templates" / f"{name}.md").read_text(encoding="utf-8")
    return _users_template(name)


def _users_template(name: str) -> str:
    """Return the text of a user's template, the file *name*."""
    path = expanded(Path(name))
    try:
        return read_text(path, _LARGEST)
    except FileNotFoundError as exc:
        near = did_you_mean(name, SHIPPED, f"Shipped templates: {', '.join(SHIPPED)}.")
        msg = f"template {name!r}: there is no shipped template and no file of this name.{near}"
        raise SettingsError(msg) from exc
    except (OSError, UnicodeDecodeError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or f"not UTF-8 text ({type(exc).__name__})"
        msg = (
            f"template: {name}: cannot be read ({reason}). Shipped templates: {', '.join(SHIPPED)}."
        )
        raise SettingsError(msg) from exc


def _is_jinja(name: str, text: str) -> bool:
    return Path(name).suffix in _JINJA_SUFFIXES or "{{" in text or "{%" in text


def _render(name: str, text: str, human: Mapping[str, str]) -> str:
    """Return what a Jinja template makes of the variables that a person gave (*human*)."""
    variables = {key: value for key, value in human.items() if value.strip()}
    variables["card_data"] = CARD_DATA
    try:
        if name in SHIPPED:
            return rendering.shipped(text, variables)
        return rendering.own(text, variables)
    except RenderError as exc:
        if exc.line and Path(name).suffix not in _JINJA_SUFFIXES:
            # A Markdown file with double braces of another kind: it is filled as it stands.
            return text
        if exc.line:
            msg = f"template: {name}:{exc.line}: {exc}"
        else:
            msg = f"template: {name}: cannot be rendered ({exc}). Nothing was written."
        raise SettingsError(msg) from exc
