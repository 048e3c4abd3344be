"""Measure CPU seconds to fill a card of 50,000 equal lines, or of a megabyte of nested lists.

The limits for a machine without other load are 5 s for 50,000 tags, keys, headings or bullets. Of
nested lists most of the time is the parser's: each line is an item that is asked for every kind of
block. The last column is how many times half the size takes: two is linear.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from autocard.card.markdown.document import Document
from autocard.card.update import update
from support import records

LINES = 50_000
MEGABYTE = 1_000_000


def nested(depth: int, size: int) -> str:
    """Return lists inside lists, *depth* levels, of about *size* characters."""
    one = "".join("  " * level + "- item\n" for level in range(depth))
    return "# A\n\n" + one * (size // len(one))


SHAPES: dict[str, Callable[[float], str]] = {
    "tags": lambda part: (
        "---\ntags:\n" + "".join(f"- t{n}\n" for n in range(int(part * LINES))) + "---\n# A\n"
    ),
    "keys": lambda part: (
        "---\n" + "".join(f"k{n}: v\n" for n in range(int(part * LINES))) + "---\n# A\n"
    ),
    "headings": lambda part: "# A\n\n" + "".join(f"## S {n}\n\n" for n in range(int(part * LINES))),
    "bullets": lambda part: "# A\n\n" + "".join(f"- a {n}\n" for n in range(int(part * LINES))),
    "lists of 3 levels": lambda part: nested(3, int(part * MEGABYTE)),
    "lists of 9 levels": lambda part: nested(9, int(part * MEGABYTE)),
    "lists of 40 levels": lambda part: nested(40, int(part * MEGABYTE)),
}


def cpu_s(work: Callable[[], object]) -> float:
    """Return the seconds of CPU that *work* takes."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def fills_s(text: str) -> tuple[float, float]:
    """Return the seconds of the first and of the second fill of *text*."""
    record = records.lora_on_cpu()
    with tempfile.TemporaryDirectory() as folder:
        card = Path(folder) / "README.md"
        card.write_text(text, encoding="utf-8")
        return cpu_s(lambda: update(card, record)), cpu_s(lambda: update(card, record))


def main() -> None:
    """Print a line for each shape."""
    fills_s("# A\n")  # what is loaded once is loaded
    for name, made in SHAPES.items():
        text = made(1)
        half, _ = fills_s(made(0.5))
        first, second = fills_s(text)
        parse = cpu_s(lambda text=text: Document(text))
        print(
            f"{name:20} {len(text):>9,} characters  "
            f"first fill {first:5.2f} s  second {second:5.2f} s  "
            f"parsed once {parse:5.2f} s  × {first / half:4.1f}"
        )


if __name__ == "__main__":
    main()
