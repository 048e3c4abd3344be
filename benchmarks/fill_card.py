"""How long filling a card takes, by size and shape: linear; a megabyte takes 0.2 to 2 seconds, most of it parsing.

A card of usual size (20,000 characters) takes some hundredths of a second.
"""

from __future__ import annotations

import time

from autocard.card.fact import Fact
from autocard.card.fill import fill
from autocard.card.forms import blank

FACTS = {
    name: Fact(f"{name} line", f"{name} block\n\n- of two") for name in ("hours_used", "results", "energy", "software")
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


def main() -> None:
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
            print(f"{shape:22} {len(text):>9,} characters  first {first:5.2f} s  second {second:5.2f} s")


if __name__ == "__main__":
    main()
