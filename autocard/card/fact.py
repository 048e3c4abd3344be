"""One fact as text for people, ready to stand in a card.

`fields` makes facts from a record, `fill` puts them into slots; neither imports the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from autocard.card.quantity import Quantity

_MARKDOWN = re.compile(r"[`*_\[\]<>{}|~#&$\\]")
"""Characters with a meaning in Markdown, HTML, templates or formulas."""
_ENTITIES = {"&": "&amp;", "\\": "&#92;", "$": "&#36;"}
_PIPE_OR_CODE = re.compile(r"\\.|(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)|\|")
"""What may contain a pipe: an escaped character, a code span, or a pipe as it is."""
_LEADING = re.compile(r"(?:[-+](?=[\s-]|$)|=(?==|$)|\d{1,9}[.)](?=\s|$))")
"""What would make the line an item of a list (`- `, `12. `), or the line above a heading (`==`)."""


@dataclass(frozen=True)
class Fact:
    """What one slot is filled with, in the two shapes that slots have.

    Attributes:
        line: one line of Markdown without a newline, for a labelled line (`- **Hours used:** …`) or
            a table cell.
        block: several lines of Markdown for the body of a heading, with U+000A between them and
            none at the end; no headings in it. None: the line stands there too.
        quantities: its figures, for forms that ask for them in a unit.
    """

    line: str
    block: str | None = None
    quantities: tuple[Quantity, ...] = ()

    def body(self) -> str:
        """Return the text for the body of a heading."""
        return self.line if self.block is None else self.block

    def line_in(self, unit_names: Iterable[str]) -> str:
        """Return the line with its figure in the first of *unit_names* that it can have."""
        for name in unit_names:
            found = self._in_unit(name)
            if found is not None:
                return found
        return self.line

    def _in_unit(self, name: str) -> str | None:
        for quantity in self.quantities:
            unit = quantity.unit(name)
            if unit is not None:
                return quantity.text(unit)
        return None


def plain(name: str) -> str:
    """Return *name* on one line: newlines and invisible characters become single spaces."""
    return " ".join("".join(ch if ch.isprintable() else " " for ch in name).split())


def escape(name: str) -> str:
    r"""Return *name*, any text from outside, so that Markdown shows it as it is.

    It stays on one line, opens no HTML, link, emphasis, table cell, template expression or formula.

    >>> print(escape("my_model|<b>"))
    my\_model\|\<b\>
    """
    # Entities, not backslashes, where the Hub reads formulas (`\\(`, `$$`) before Markdown.
    text = _MARKDOWN.sub(lambda found: _ENTITIES.get(found[0], "\\" + found[0]), plain(name))
    start = _LEADING.match(text)
    if start is None:
        return text
    return text[: start.end() - 1] + "\\" + text[start.end() - 1 :]


def code(name: str) -> str:
    """Return *name* as a code span on one line; for a table, `cell` has to escape it, too.

    >>> code("a`b")
    '``a`b``'
    """
    text = plain(name) or " "
    used = {len(run) for run in re.findall("`+", text)}
    length = 1
    while length in used:
        length += 1
    fence = "`" * length
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def cell(text: str) -> str:
    r"""Return a line of Markdown as the cell of a table: each pipe is escaped, in code spans too.

    A table removes those backslashes before it parses the cell; anywhere else a code span would
    show them.

    >>> print(cell("`a|b` c|d"), cell(escape("a|b")))
    `a\|b` c\|d a\|b
    """
    return _PIPE_OR_CODE.sub(
        lambda found: found[0] if found[0][0] == "\\" else found[0].replace("|", "\\|"), text
    )
