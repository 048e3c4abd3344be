"""What counts as empty: the notations in which forms ask for a value, and what other tools wrote by themselves.

One rule: the whole value must be the placeholder. A sentence that holds one is somebody's sentence.
Every test here looks at each character a bounded number of times.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_NAME_IN_BRACES = re.compile(r"[^\W\d][\w .-]*")
_LONGEST = 400
"""Characters. A longer text is no placeholder."""

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
        value: Markdown of a slot, comments already taken off its ends.
        variables: names of template variables that mean something; an inline-code name counts only
            if it is one.
        references: link references that the document defines (`[Name]: …`), upper case: they are
            links.
        own: texts that a user's form has where nothing stands yet, lower case.
    """
    text = value.strip()
    if not text:
        return Placeholder("blank")
    if len(text) > _LONGEST or (
        len(text) > _LONGEST_BARE and text[0] not in _OPENING and text[-1] != "`" and not own
    ):
        return None
    if "\n" in text:
        # A form's field may stand in two lines; each must ask.
        parts = [
            find(line, variables, references, own) for line in text.split("\n") if line.strip()
        ]
        return parts[0] if len(parts) <= 3 and all(parts) else None  # noqa: PLR2004
    text = _unwrapped(text)
    if text.lower() in own:
        return Placeholder("bare")
    return _variable(text, variables) or _words(text, references)


def _unwrapped(text: str) -> str:
    """Return *text* without the emphasis that is around all of it."""
    if text[0] not in "*_":
        return text
    for mark in ("**", "__", "*", "_"):
        inner = text[len(mark) : -len(mark)]
        if (
            len(text) > 2 * len(mark)
            and text.startswith(mark)
            and text.endswith(mark)
            and mark[0] not in inner
        ):
            return inner.strip()
    return text


def _variable(text: str, variables: Collection[str]) -> Placeholder | None:
    """Recognise `{{ name | default(…) }}`, `{{< name >}}`, `{name}`, `<<name>>` and inline code."""
    name = ""
    if text.startswith("{{<") and text.endswith(">}}") and text.find(">}}") == len(text) - 3:
        name = text[3:-3].strip().rpartition(" ")[2].rpartition(".")[2]
    elif text.startswith("{{") and text.endswith("}}"):
        inner = text[2:-2]
        # Several expressions, nothing but blanks between them, are one placeholder too.
        if any(part.strip() for part in _between(inner)):
            return None
        found = _IDENTIFIER.match(inner.lstrip("-+ \t"))
        name = found[0] if found else ""
    elif (
        text.startswith("<<")
        and text.endswith(">>")
        and not {"<", ">", " "} & set(text[2:-2].strip())
    ):
        name = text[2:-2].strip().rpartition(".")[2]
    elif (
        text.startswith("{")
        and text.endswith("}")
        and _NAME_IN_BRACES.fullmatch(text[1:-1].strip())
    ):
        name = "_".join(text[1:-1].lower().split())
    elif text.endswith("`"):
        # The opening mark is missing in one well-known form.
        name = text.removeprefix("`").removesuffix("`")
        return Placeholder("variable", name) if name in variables else None
    else:
        return None
    return Placeholder("variable", name)


def _between(inner: str) -> list[str]:
    """Return what stands between the expressions in the inner part of `{{ … }} … {{ … }}`."""
    return [piece.partition("{{")[0] for piece in inner.split("}}")[1:]]


def _words(text: str, references: Collection[str]) -> Placeholder | None:
    """Recognise `[More Information Needed]`, `[Insert …]`, `...` and what goes with them."""
    if len(text) <= _LONGEST_BARE:
        plain = text.lower().rstrip(".").strip() if text.strip(".") else text
        if plain in _BARE:
            return Placeholder("bare")
    if text.startswith("(") and text.endswith(")") and text.lower().startswith(_TRAILING):
        return Placeholder("bare")
    if not text.startswith("["):
        return None
    text = text.rstrip(".")
    inner = text[1:-1].strip()
    if not text.endswith("]") or "[" in inner or "]" in inner:
        return None
    if " ".join(inner.upper().split()) in references:
        return None
    return Placeholder("bracket") if _ASKING.match(inner) else None


def is_guidance(paragraph: str, boilerplate: Sequence[str]) -> bool:
    """Return whether *paragraph* is a form's advice: all in italics, or one of the *boilerplate* beginnings."""
    text = paragraph.strip()
    for mark in "_*":
        inner = text[1:-1]
        if len(text) > 2 and text[0] == text[-1] == mark and inner[0] != mark and inner[-1] != mark:  # noqa: PLR2004
            # `_a_ and _b_` is not all in italics; `_a **b** c_` is.
            alone = inner.replace("**", "") if mark == "*" else inner
            return (
                re.search(r"(?<!\w)_|_(?!\w)", alone) is None if mark == "_" else "*" not in alone
            )
    return text.startswith(tuple(boilerplate))
