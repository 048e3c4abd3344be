"""The five forms of five kinds: those in tests/forms/like_seeds, and the real ones where they lie beside the repository."""

from __future__ import annotations

import re

import pytest

from support import ROOT, TESTS

FOLDER = ROOT.parent / "shared" / "seeds"
OWN = TESTS / "forms" / "like_seeds"
PLACEHOLDER = {
    "000": r"\{\{[^}]*\}\}",
    "001": r"\[More Information Needed[^\]]*\]|\[Model Name\]|\[Project Repo\]",
    "002": r"`?[a-z0-9]+(?:_[a-z0-9]+)*`$",
    "003": r"^\.\.\.$",
    "004": r"\[More Information Needed\]",
}
LEFT = {"000": 10, "001": 15, "002": 23, "003": 8, "004": 19}
"""Fields of the real ones that only people can fill, or that a machine can merely suggest."""
LEFT_OF_OWN = {"000": 9, "001": 13, "002": 16, "003": 7, "004": 10}
"""The same for tests/forms/like_seeds."""
FORMS = [(folder, number) for folder in (OWN, FOLDER) if folder.is_dir() for number in PLACEHOLDER]
each_form = pytest.mark.parametrize(
    ("folder", "number"),
    FORMS,
    ids=[f"{'own' if folder == OWN else 'real'}-{number}" for folder, number in FORMS],
)


def left_of(folder, number):
    """Return how many placeholders only people can fill."""
    return (LEFT_OF_OWN if folder == OWN else LEFT)[number]


def seed(number, folder=FOLDER):
    (path,) = folder.glob(f"{number}_*")
    text = path.read_bytes().decode("utf-8")
    if number != "004":
        return text
    # The file is a scrape of a page: each line of the card lies between pipes.
    lines = [
        found[1]
        for line in text.split("\n")
        if (found := re.fullmatch(r"\s*\|  \| ?(.*?) ?\|\s*", line))
    ]
    return "\n".join(lines) + "\n"
