"""What the Hub would refuse in a card, for a warning before an upload."""

from __future__ import annotations

from pathlib import Path

from autocard.card.check.check import check
from autocard.card.fact import plain


def refused(card: Path) -> str:
    """Return which keys of *card* the Hub refuses, and what would do; "": it takes the card.

    Raises:
        FileNotFoundError: there is no such card.
        SettingsError: a file of labels cannot be used.
    """
    problems = [problem for problem in check(card, None).front_matter if problem.refused]
    listed = [f"{problem.key} (line {problem.line}) {plain(problem.text)}" for problem in problems]
    return "; ".join(listed)
