"""What counts as empty: the notations in which forms ask for a value.

One rule: the whole value must be the placeholder. A sentence that contains one is a person's. Every
test here reads each character a bounded number of times.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from autocard.card.quantity import is_unit

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
    "tbc",
    "to be determined",
    "to be decided",
    "to be confirmed",
    "to be announced",
    "to be added",
    "to be completed",
    "to be filled",
    "to be filled in",
    "to do",
    "fill in",
    "fill me in",
    "fill me",
    "fixme",
    "your answer here",
    "your value here",
    "insert here",
    "coming soon",
    "work in progress",
    "wip",
    "pending",
    "empty",
    "blank",
    "...",
    "…",
    "model id",
}
_WORDS_OF_PEOPLE = frozenset(("empty", "blank", "pending", "coming soon", "work in progress"))
"""Of these, what is a placeholder in brackets only: (empty), but not "pending"."""
_GAP = re.compile(r"[_\uff3f]{2,40}|\?{1,5}|XX|[xX]{3,5}|(?:[xX]{1,3}|0)\.[xX]{1,5}|\.{3,40}")
"""A gap to be filled: ____, ???, xx, X.XX, 0.xx, ....."""
_DECLINED = frozenset(
    (
        "n/a",
        "na",
        "n.a",
        "n. a",
        "-",
        "--",
        "---",
        "\u2013",
        "\u2014",
        "not available",
        "not specified",
        "unspecified",
        "unknown",
        "not known",
        "not measured",
        "not recorded",
    )
)
"""What people write where they have nothing to say; a machine may."""
_COUNTED = frozenset(
    ("%", "tokens", "samples", "examples", "rows", "epochs", "steps", "gpus", "images", "layers")
)
"""What may follow a placeholder beside a unit: TBD tokens."""
_LEAST_WORDS = 2
_MOST_WORDS = 6
"""Words of a placeholder with its unit."""
_LONGEST_BARE = max(map(len, _BARE)) + 20
_OPENING = frozenset("[{<(`*_-+")
"""What a placeholder that is no word begins with, emphasis and items of a list included."""
_TRAILING = ("(forthcoming", "(to be added", "(to be completed", "(coming soon")


@dataclass(frozen=True)
class Placeholder:
    """A value that is none.

    Attributes:
        notation: which kind of placeholder it is: blank, bracket, bare, variable, generated, or
            declined (N/A: a person had nothing to say).
        variable: the template variable that the placeholder names, as it stands there; "" where it
            names none.
        unit: the unit behind the placeholder (`___ h`), or "".
    """

    notation: str
    variable: str = ""
    unit: str = ""


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


def declined(value: str) -> Placeholder | None:
    """Return the placeholder that *value* is where a machine knows better than "N/A"."""
    text = value.strip()
    if len(text) > _LONGEST_BARE:
        return None
    bare = _without_emphasis(text) if text else ""
    is_dash = not bare.strip("-\u2013\u2014")
    bare = bare if is_dash else _without_brackets(bare).lower().rstrip(".").strip()
    return Placeholder("declined") if bare in _DECLINED else None


def _find_on_line(
    text: str, variables: Collection[str], references: Collection[str], own: Collection[str]
) -> Placeholder | None:
    if len(text) > _LONGEST_BARE and not own and not _has_marks(text):
        return None
    text = _without_emphasis(text)
    if text.lower() in own:
        return Placeholder("bare")
    return _variable(text, variables) or _words(text, references) or _before_unit(text, references)


def _before_unit(text: str, references: Collection[str]) -> Placeholder | None:
    """Recognize a placeholder with its unit behind it: `___ h`, `TBD samples/sec`, `[TBD] kWh`."""
    pieces = text.split(" ")
    if not _LEAST_WORDS <= len(pieces) <= _MOST_WORDS:
        return None
    for number in range(1, len(pieces)):
        unit = " ".join(pieces[number:]).strip()
        if unit.lower() not in _COUNTED and not is_unit(unit):
            continue
        found = _words(" ".join(pieces[:number]), references)
        if found is not None:
            return replace(found, unit=unit)
    return None


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
    if len(text) <= _LONGEST_BARE and _is_bare(text):
        return Placeholder("bare")
    if text.startswith("(") and text.endswith(")") and text.lower().startswith(_TRAILING):
        return Placeholder("bare")
    return _bracket(text.rstrip("."), references) if text.startswith("[") else None


def _is_bare(text: str) -> bool:
    """Return whether *text* is a word or mark that stands for a value, maybe in brackets."""
    if _GAP.fullmatch(text):
        return True
    bare = text
    if text.strip("."):
        bare = text.lower().rstrip(".").strip()
    inner = _without_brackets(bare)
    if inner != bare:
        return inner in _BARE or _GAP.fullmatch(inner) is not None
    return bare in _BARE and bare not in _WORDS_OF_PEOPLE


def _without_brackets(text: str) -> str:
    """Return *text* without the round or angle brackets around it: (empty), <TBD>."""
    if text[:1] + text[-1:] in ("()", "<>"):
        return text[1:-1].strip()
    return text


def _bracket(text: str, references: Collection[str]) -> Placeholder | None:
    """Recognize `[Insert provider]`, but no link."""
    inner = text[1:-1].strip()
    if not text.endswith("]") or "[" in inner or "]" in inner:
        return None
    if " ".join(inner.upper().split()) in references:
        return None
    is_asking = not inner or _GAP.fullmatch(inner) or _ASKING.match(inner)
    return Placeholder("bracket") if is_asking else None


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
