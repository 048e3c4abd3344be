"""Write docs/dev/matrix.md: trained set-up → what was checked, against which oracle → errors.

Usage: python docs/make_matrix.py [RESULTS]. RESULTS is the output of tests/support/train_setups.py;
without it, the set-ups are trained now, which takes some minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OUT = HERE / "dev" / "matrix.md"
TRAIN = HERE.parent / "tests" / "support" / "train_setups.py"

HEAD = """<!-- Made by docs/make_matrix.py; tests/project/test_matrix.py trains the set-ups again and compares. -->

# Trained set-ups

Each row is a real training of a tiny model on a CPU, saved and evaluated as scripts do. Oracles that share no code
with autocard then judge what its record and card say:

| Subject | Checked against |
| --- | --- |
| run and time | the trainer's state; a clock around its events |
| model | the tensors, each counted once; their sizes; the files that were saved |
| base | digests of the first weights and of the base's files; a new model of the class; folders' names |
| adapters | the tensors of the adapters, PEFT's configuration, the file that holds the trained tensors |
| settings | the arguments, the optimizer's class, the tensors' types |
| objective | the loss of a batch, worked out from logits and labels; the trainer's own loss |
| schedule | the optimizer's learning rates before each step |
| batch, speed, tokens | the batches that the training loop consumed |
| operations | torch's `FlopCounterMode` on a batch |
| data | the rows themselves |
| evaluation | what `evaluate()` returned; digests of the evaluated weights against those after each step |
| machine and sums | installed packages; sums worked out again |
| card's claims | the same, read out of the card's text |

The number behind a subject is how many statements were judged, over all times that the record was written.
"""  # noqa: E501 - lines of the page


def trained() -> dict[str, Any]:
    """Train the set-ups; return the oracles' verdicts for each."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, str(TRAIN), folder], capture_output=True, check=True)  # noqa: S603
    return dict(json.loads(done.stdout))


def lines(results: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the page."""
    yield HEAD
    done = {name: one for name, one in results.items() if "judged" in one}
    judged = sum(sum(one["judged"].values()) for one in done.values())
    false = sum(len(false_of(one)) for one in done.values())
    yield f"In all: {len(done)} set-ups, {judged:,} statements judged, {false:,} false.\n"
    for kind in dict.fromkeys(one["kind"] for one in results.values()):
        yield f"## {kind}\n"
        yield "| Set-up | Judged | False |\n| --- | --- | ---: |"
        for name, one in results.items():
            if one["kind"] == kind:
                yield row(name, one)
        yield ""
    yield TAIL


TAIL = """## Versions

`make test` trains these with the versions of constraints.txt, `make test-newest` with transformers 5.24. There
`model.add_adapter` asks for PEFT 0.22 or newer, so that the set-up with transformers' own adapters is left out."""  # noqa: E501 - lines of the page


def false_of(one: dict[str, Any]) -> list[str]:
    """Return the false statements of a set-up, including those known and not yet repaired."""
    return [*one["false"], *one["pending"]]


def row(name: str, one: dict[str, Any]) -> str:
    """Return a set-up's row of its table."""
    if "judged" not in one:
        return f"| {name} | not trained: {one.get('skipped') or one.get('failed')} | |"
    subjects = ", ".join(f"{subject} {count}" for subject, count in one["judged"].items())
    return f"| {name} | {subjects} | {len(false_of(one))} |"


def main(arguments: list[str]) -> None:
    """Write the page."""
    results = json.loads(Path(arguments[0]).read_text(encoding="utf-8")) if arguments else trained()
    OUT.write_text("\n".join(lines(results)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
