"""Measure filling a card by size and shape: linear; a megabyte takes 0.2 to 2 seconds.

Most of that is parsing. A card of usual size (20,000 characters) takes some hundredths of a second.
Then prints ratios: the factor in CPU time for four times the text, for the shapes of
tests/card/test_speed.py (which counts steps of Python, and so misses slow regular expressions) and
for texts on which a search might restart again and again. Four is linear, sixteen is quadratic;
ratios above `NOTED` are marked.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from card import test_speed as shapes

from autocard.card.fact import Fact
from autocard.card.fill.fill import fill
from autocard.card.fill.new_card import blank
from autocard.card.form.boilerplate import is_generated
from autocard.card.form.label_files import load
from autocard.card.form.placeholders import find, is_guidance

FACTS = {
    name: Fact(f"{name} line", f"{name} block\n\n- of two")
    for name in ("hours_used", "results", "energy", "software")
}
SHAPES = {
    "headings": "## Section {n}\n\nWords, and more words, about section {n}.\n\n",
    "labelled lines": "- **Label {n}:** value {n}\n",
    "loose labelled lines": "**Label {n}:** value {n}\n\n",
    "table rows": "| label {n} | value {n} |\n",
    "one paragraph": "words of line {n}\n",
    "code": "    x = {n}\n\n",
    "placeholders": "## Notes {n}\n\n[More Information Needed]\n\n",
}
HOSTILE = ["[", "{{", "{{ a }}", "<<", "`", "_a", "*", "(", "[More Information Needed] ", "- a\n"]
SMALL = 30_000
TIMES = 4
NOTED = 8.0
LEAST_S = 0.01
"""Times below it say nothing about growth."""


def cpu_s(work: Callable[[], object]) -> float:
    """Return seconds of CPU time, the least of three rounds."""
    spent = []
    for _ in range(3):
        begin = time.process_time()
        work()
        spent.append(time.process_time() - begin)
    return min(spent)


def ratio(name: str, made: Callable[[int], str], work: Callable[[str], object]) -> None:
    """Print how the time of *work* grows with the text *made* for it; mark superlinear growth."""
    small, large = (cpu_s(partial(work, made(times * SMALL))) for times in (1, TIMES))
    grown = large / max(small, 1e-9)
    mark = "  <- not in proportion" if grown > NOTED and large > LEAST_S else ""
    print(f"{name:40} {1000 * small:9.2f} ms  × {grown:5.1f}{mark}")


def sizes() -> None:
    """Print seconds of CPU for each shape and size, of the first and of the second fill."""
    form = blank(None, {})
    for shape, piece in SHAPES.items():
        for size in (250_000, 500_000, 1_000_000):
            filler = "".join(piece.format(n=n) for n in range(size // len(piece)))
            lead = "| a | b |\n|---|---|\n" if shape == "table rows" else ""
            text = form + "\n## Other\n\n" + lead + filler
            start = time.process_time()
            filled = fill(text, FACTS, {"library_name": "peft"}, remembered={})
            first = time.process_time() - start
            start = time.process_time()
            fill(filled.text, FACTS, {"library_name": "peft"}, remembered=filled.slots)
            second = time.process_time() - start
            print(
                f"{shape:22} {len(text):>9,} characters  "
                f"first {first:5.2f} s  second {second:5.2f} s"
            )


def growth() -> None:
    """Print the ratios."""
    print(f"CPU time of {SMALL:,} characters, and how many times that {TIMES} times as many take:")
    for name in shapes.PIECES:
        ratio(name, partial(shapes.body, name), shapes.filled)
    for name, (piece, _) in shapes.FRONT.items():
        ratio(f"front matter: {name}", partial(front, name, len(piece)), shapes.filled)
    words = load()
    searches: dict[str, Callable[[str], object]] = {
        "find": lambda text: find(text, words.names),
        "is_generated": is_generated,
        "is_guidance": lambda text: is_guidance(text, words.boilerplate),
    }
    for name, search in searches.items():
        for piece in HOSTILE:
            ratio(f"{name}: {piece.strip()!r} repeated", partial(repeated, piece), search)


def front(name: str, length: int, size: int) -> str:
    """Return a front matter of about *size* characters, *length* for each entry."""
    made: str = shapes.front(name, size // length)
    return made


def repeated(piece: str, size: int) -> str:
    """Return *piece* again and again, *size* characters in all."""
    return piece * (size // len(piece))


if __name__ == "__main__":
    sizes()
    growth()
