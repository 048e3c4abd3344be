"""What counts as empty: the notations in which forms ask for a value.

One rule: the whole value must be the placeholder. A sentence that contains one is a person's. Every
test here reads each character a bounded number of times.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_NAME_IN_BRACES = re.compile(r"[^\W\d][\w .-]*")
"""`model_name`, `Model Name`, but not `0.9` or `"a": 1`."""
_LONGEST = 400
"""Characters. A longer text is no placeholder."""
_MOST_LINES = 3

_ASKS = (
    "insert",
    "todo",
    "tbd",
    "tba",
    "wip",
    "work in progress",
    "coming soon",
    "more information needed",
    "model name",
    "model id",
    "your model",
    "project repo",
    "provide",
    "describe",
    "specify",
    "fill in",
    "add",
    "enter",
    "list",
    "link to",
    "choose",
    "placeholder",
)
"""What the text between square brackets begins with, in lower case and up to a word's end, when it
asks."""

_ASKING = re.compile(
    rf"(?:{'|'.join(sorted(_ASKS, key=len, reverse=True))})(?![^\W_])", re.IGNORECASE
)
"""`Insert provider`, `TODO: link`, but not `address` (of "add")."""
_BARE = {
    "more information needed",
    "more information is needed",
    "todo",
    "tbd",
    "tba",
    "...",
    "…",
    "model id",
}
_LONGEST_BARE = max(map(len, _BARE)) + 20
_OPENING = frozenset("[{<(`*_-+")
"""What a placeholder that is no word begins with, emphasis and items of a list included."""
_TRAILING = ("(forthcoming", "(to be added", "(to be completed", "(coming soon")


@dataclass(frozen=True)
class Placeholder:
    """A value that is none.

    Attributes:
        notation: which kind of placeholder it is: blank, bracket, bare, variable, or generated.
        variable: the template variable that the placeholder names, as it stands there; "" where it
            names none.
    """

    notation: str
    variable: str = ""


def find(
    value: str,
    variables: Collection[str] = (),
    references: Collection[str] = (),
    own: Collection[str] = (),
) -> Placeholder | None:
    """Return what kind of placeholder *value* is, or None if it is a value.

    Args:
        value: Markdown of a slot, comments already removed at its ends.
        variables: names of template variables that mean something; an inline-code name counts only
            if it is one.
        references: link references that the document defines (`[Name]: …`), upper case: they are
            links.
        own: texts that a user's form has where nothing stands yet, lower case.
    """
    text = value.strip()
    if not text:
        return Placeholder("blank")
    if len(text) > _LONGEST:
        return None
    if "\n" not in text:
        return _find_on_line(text, variables, references, own)
    if len(text) > _LONGEST_BARE and not own and not _has_marks(text):
        return None
    # A form's field may stand on a few lines; each of them must ask.
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    found = [_find_on_line(line, variables, references, own) for line in lines]
    return found[0] if len(found) <= _MOST_LINES and all(found) else None


def _find_on_line(
    text: str, variables: Collection[str], references: Collection[str], own: Collection[str]
) -> Placeholder | None:
    if len(text) > _LONGEST_BARE and not own and not _has_marks(text):
        return None
    text = _without_emphasis(text)
    if text.lower() in own:
        return Placeholder("bare")
    return _variable(text, variables) or _words(text, references)


def _has_marks(text: str) -> bool:
    """Return whether *text* begins or ends like a placeholder that is no word."""
    return text[0] in _OPENING or text[-1] == "`"


def _without_emphasis(text: str) -> str:
    """Return *text* without the emphasis that is around all of it."""
    if text[0] not in "*_":
        return text
    for mark in ("**", "__", "*", "_"):
        inner = text[len(mark) : -len(mark)]
        is_wrapped = text.startswith(mark) and text.endswith(mark)
        if is_wrapped and len(text) > 2 * len(mark) and mark[0] not in inner:
            return inner.strip()
    return text


def _variable(text: str, variables: Collection[str]) -> Placeholder | None:
    """Recognize `{{ name | default(…) }}`, `{{< name >}}`, `{name}`, `<<name>>` and inline code."""
    name: str | None
    if _is_shortcode(text):
        name = text[3:-3].strip().rpartition(" ")[2].rpartition(".")[2]
    elif text.startswith("{{") and text.endswith("}}"):
        name = _expression_variable(text[2:-2])
    elif text.startswith("<<") and text.endswith(">>"):
        name = _name_in_angles(text[2:-2])
    elif text.startswith("{") and text.endswith("}"):
        name = _name_in_braces(text[1:-1])
    elif text.endswith("`"):
        # The opening mark is missing in one well-known form.
        code = text.removeprefix("`").removesuffix("`")
        name = code if code in variables else None
    else:
        return None
    return None if name is None else Placeholder("variable", name)


def _is_shortcode(text: str) -> bool:
    """Return whether *text* is one shortcode of Hugo or Quarto: `{{< meta model.name >}}`."""
    return text.startswith("{{<") and text.find(">}}") == len(text) - 3


def _expression_variable(inner: str) -> str | None:
    """Return the variable of `name | default(…)`; None: other text stands between expressions.

    Several expressions with nothing but blanks between them are one placeholder, too.
    """
    for piece in inner.split("}}")[1:]:
        if piece.partition("{{")[0].strip():
            return None
    found = _IDENTIFIER.match(inner.lstrip("-+ \t"))
    return found[0] if found else ""


def _name_in_angles(inner: str) -> str | None:
    name = inner.strip()
    return None if {"<", ">", " "} & set(name) else name.rpartition(".")[2]


def _name_in_braces(inner: str) -> str | None:
    return "_".join(inner.lower().split()) if _NAME_IN_BRACES.fullmatch(inner.strip()) else None


def _words(text: str, references: Collection[str]) -> Placeholder | None:
    """Recognize `[More Information Needed]`, `[Insert …]`, `...` and the like."""
    if len(text) <= _LONGEST_BARE:
        bare = text
        if text.strip("."):
            bare = text.lower().rstrip(".").strip()
        if bare in _BARE:
            return Placeholder("bare")
    if text.startswith("(") and text.endswith(")") and text.lower().startswith(_TRAILING):
        return Placeholder("bare")
    return _bracket(text.rstrip("."), references) if text.startswith("[") else None


def _bracket(text: str, references: Collection[str]) -> Placeholder | None:
    """Recognize `[Insert provider]`, but no link."""
    inner = text[1:-1].strip()
    if not text.endswith("]") or "[" in inner or "]" in inner:
        return None
    if " ".join(inner.upper().split()) in references:
        return None
    return Placeholder("bracket") if _ASKING.match(inner) else None


def is_guidance(paragraph: str, boilerplate: Sequence[str]) -> bool:
    """Return whether *paragraph* is a form's advice: in italics, or one of its own sentences.

    *boilerplate*: beginnings of these sentences.
    """
    text = paragraph.strip()
    for mark in "_*":
        inner = text[1:-1]
        if not inner or text[0] != mark or text[-1] != mark:
            continue
        if inner[0] != mark and inner[-1] != mark:
            return _is_one_emphasis(inner, mark)
    return text.startswith(tuple(boilerplate))


def _is_one_emphasis(inner: str, mark: str) -> bool:
    """Return whether the italics do not end inside: `_a **b** c_`, but not `_a_ and _b_`."""
    if mark == "*":
        return "*" not in inner.replace("**", "")
    # `_` inside of a word is no emphasis: snake_case.
    return re.search(r"(?<!\w)_|_(?!\w)", inner) is None
