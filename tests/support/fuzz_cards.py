"""Random cards and records, made from a seed: what `make fuzz` and tests/card/test_fuzz.py fill.

A card is made of pieces that real cards have, some of them broken, so that a share is refused; a
record is one of records.py with some leaves replaced. in tests/,
`python -m support.fuzz_cards --seed 7` prints the number of each one that failed, and `--only 12`
runs that one again.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import sys
from collections import Counter
from typing import Any

from autocard.card import fields
from autocard.card.fact import Fact
from autocard.card.fill.fill import fill
from autocard.errors import AutocardError, CardError
from autocard.record import from_json, to_json
from support import records

USUAL = [
    "# Model Card for [Model Name]",
    "# My model",
    "## Model Details",
    "## Training Data",
    "### Training Procedure",
    "#### Training Hyperparameters",
    "## Environmental Impact",
    "## Evaluation",
    "### Results",
    "#### Software",
    "Title\n=====",
    "[More Information Needed]",
    "...",
    "{{ results | default('', true) }}",
    "- **Hours used:** [More Information Needed]",
    "- **Hours used:** three weeks, by the clock",
    "- **Hardware Type:**",
    "**Cloud Provider:** [Insert provider] <br>\n**Compute Region:** <br>",
    "- **Training regime:** [More Information Needed] <!--fp32, fp16 -->",
    "- **Hours used:**\n  - three\n  - four",
    "| Hours used | [More Information Needed] |\n|---|---|\n| Carbon emitted | ... |\n| other | a \\| b |",
    "```python\nfrom x import y  # - **Hours used:** [More Information Needed]\n```",
    "<!--\n## Results\n\n[More Information Needed]\n-->",
    "<details><summary>More</summary>\n\n- **Hours used:** ...\n\n</details>",
    "> A quoted *paragraph*.",
    "1. one\n2. **two:** x\n\n   more",
    "![figure](figure.png)",
    "Words with [a link](https://example.org), `code` and *emphasis*.",
    '<p align="center">\n  <img src="logo.png">\n</p>',
    "- a\n  - b\n    - c",
]
ODD = [
    "~~~~\nnever closed: [More Information Needed]",
    "<!-- never closed\n\n- **Hours used:** [More Information Needed]",
    "    - **Hours used:** [More Information Needed]",
    "\n[TODO]: https://example.org\n\n[TODO]",
    "words\x0cand a form feed",
    "***",
    "---",
    "\x00 \u2028 \u202e",
    "[" * 50,
    "> " * 40 + "deep",
    "".join("  " * level + "- deep\n" for level in range(14)),
    "".join("  " * level + "- deeper\n" for level in range(60)),
    "<div><b>",
    "$$x$$ \\(y\\) &amp;",
]
HEADS = [
    "",
    "---\nlicense: mit # why\ntags:\n- mine\n---\n",
    "---\n{{ card_data }}\n---\n",
    "---\nlibrary_name:\nlanguage: no\nversion: 1.10\n---\n\n",
    "---\ntags: &t [a]\nx: !mine y\nd: 2001-99-99\n---\n",
    "---\nmodel-index:\n- name: a\n  results:\n  - task: {type: x}\n---\n",
]
ODD_HEADS = ["---\na: [\n---\n", "---\na: &a [*a]\n---\n", "---\n- a\n---\n", "---\nnever closed\n"]
FRONT = {
    "library_name": "peft",
    "tags": ["lora"],
    "co2_eq_emissions": {"emissions": 0.00001, "source": "s"},
}
FACTS = {
    name: Fact(f"{name} A", f"{name} A, at length\n\n| x | y |\n| --- | --- |\n| {name} | 1 |")
    for name in (
        "training_data",
        "training_hyperparameters",
        "results",
        "model_specs",
        "software",
        "energy",
    )
} | {
    name: Fact(f"{name} A")
    for name in ("model_id", "hours_used", "hardware_type", "co2_emitted", "cloud_provider")
}
VALUES: list[Any] = [
    *(None, "", "x", "\ud800", "# Forged\n\n<b>", "2026-13-45", "/home/x/y"),
    *(-1, 0, 1e308, 10**400, True, [], {}),
]


def card(random_: random.Random, *, usual: bool) -> str:
    """Return a random card; *usual*: of what real cards have."""
    pieces = USUAL if usual or random_.random() < 0.6 else USUAL + ODD
    heads = HEADS if usual or random_.random() < 0.8 else HEADS + ODD_HEADS
    gaps = ["\n\n"] if usual else ["\n\n", "\n\n\n", "\n", " \n\n"]
    body = "".join(
        random_.choice(pieces) + random_.choice(gaps) for _ in range(random_.randint(1, 12))
    )
    text = random_.choice(heads) + (body.rstrip("\n") if random_.random() < 0.3 else body)
    if random_.random() < 0.2:
        text = text.replace("\n", "\r\n")
    return ("\ufeff" if random_.random() < 0.1 else "") + text


def check_card(text: str) -> bool:
    """Fill *text* twice and a third time after an edit; return False where it was refused.

    Raises:
        AssertionError: a second fill is no no-op, or a person's words are gone.
    """
    try:
        first = fill(text, FACTS, FRONT, remembered={})
    except CardError:
        return False
    second = fill(first.text, FACTS, FRONT, remembered=first.slots)
    assert second.text == first.text, "a second fill changed the card"
    edited = first.text + "\n\nQQhuman\n"
    try:
        third = fill(edited, FACTS, FRONT, remembered=first.slots)
    except CardError:
        return True
    assert "QQhuman" in third.text, "a person's words are gone"
    return True


def record(random_: random.Random) -> str:
    """Return the JSON of a record with some leaves replaced."""
    made = random_.choice(sorted(records.ALL))
    raw = json.loads(to_json(records.ALL[made]()))
    for _ in range(random_.randint(1, 4)):
        part: Any = raw
        while True:
            keys = list(part) if isinstance(part, dict) else list(range(len(part)))
            if not keys:
                break
            key = random_.choice(keys)
            if not isinstance(part[key], dict | list) or random_.random() < 0.1:
                part[key] = random_.choice(VALUES)
                break
            part = part[key]
    return json.dumps(raw)


def check_record(text: str) -> bool:
    """Read a record and make its texts; return False where it was refused.

    Raises:
        Exception: anything else than the documented error.
    """
    try:
        found = from_json(text)
    except AutocardError:
        return False
    fields.facts(found)
    fields.front_matter(found)
    to_json(found)
    return True


def run(
    seed: int, cards: int, record_count: int, only: int | None = None
) -> tuple[Counter[str], list[str]]:
    """Return counts by outcome, and what failed, with its number."""
    counts: Counter[str] = Counter()
    failures = []
    for number in range(cards + record_count) if only is None else [only]:
        random_ = random.Random(f"{seed}/{number}")  # noqa: S311 - not for secrets
        kind = "record" if number >= cards else "usual card" if number % 2 else "odd card"
        try:
            if kind == "record":
                taken = check_record(record(random_))
            else:
                taken = check_card(card(random_, usual=kind == "usual card"))
        except Exception as exc:  # noqa: BLE001 - each is a finding
            failures.append(f"{kind} {number}: {type(exc).__name__}: {str(exc)[:200]}")
            continue
        counts[f"{kind}: {'filled' if taken else 'refused'}"] += 1
    return counts, failures


def refused_share(counts: Counter[str], kind: str) -> float:
    """Return the share of *kind* that was refused."""
    refused = counts[f"{kind}: refused"]
    return refused / max(1, refused + counts[f"{kind}: filled"])


def main() -> int:
    """Run from the command line; status 1 if something failed or too much was refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    parser.add_argument("--cards", type=int, default=20_000)
    parser.add_argument("--records", type=int, default=2_000)
    parser.add_argument("--only", type=int)
    asked = parser.parse_args()
    print(f"seed {asked.seed}: again with make fuzz SEED={asked.seed}")
    counts, failures = run(asked.seed, asked.cards, asked.records, asked.only)
    for name, count in sorted(counts.items()):
        print(f"{name:24} {count:7,}")
    share = refused_share(counts, "usual card")
    print(f"usual cards that were refused: {share:.1%} (2 % at most)")
    for failure in failures[:50]:
        print("FAILED", failure)
    return int(bool(failures) or share > 0.02)


if __name__ == "__main__":
    sys.exit(main())
