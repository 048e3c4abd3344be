"""Search for input that blocks the interpreter: a thread wakes every 10 ms while cards, records and labels are read.

The longest pause of the beating is measured in a process of its own, which is ended where it
overruns. Pauses are counted in CPU time of the process, so that a busy machine is no finding.

In tests/, `python -m support.heartbeat --seed 7` takes 300 inputs of each class.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from autocard.card.fill.fill import fill
from autocard.card.fill.new_card import blank
from autocard.card.form.label_files import load
from autocard.errors import AutocardError
from autocard.record import from_json
from support import TESTS, fuzz_cards

PAUSE_S = 2.0
LIMIT_S = 240.0
"""A process that takes longer has hung."""
LARGEST = 400_000
"""Characters of one input."""

PARTS = {
    "front matter": [
        "a: &a [x]\n", "*a", "&b ", "- ", "[", "{", "? ", "'", '"', "!!int ", "!!float ", "1:00", "<<: ", "9", "0x",
        "_", "\n", "k: ", "|\n ", "# ", "\\x41", "\t", "e5", ".", "2001-01-01 ", "---\n", "%TAG ! x\n", "{a: b, ",
        "}", "]",
    ],
    "body": [
        "[", "]", "(", ")", "*", "_", "`", "<", ">", "<!--", "-->", "&amp;", "![", "](", "> ", "- ", "  ", "1. ",
        "# ", "|", "|-|\n", "\n", "\n\n", "~~~", "```", "<a ", 'href="', "{{", "}}", "{%", "\\", "**Label:** ",
        "[More Information Needed]", "[a]: b\n", "0", ".", " ", "a", "kg CO2", "=", "\r", "\t",
    ],
    "record": [
        "[", "]", "{", "}", '"', ":", ",", "9", "e", "-", ".", "\\u0000", "\\ud800", '{"a":', "[[", "null", " ",
        "1e999",
    ],
    "labels": [
        "titles: [", "facts:\n", "sections:\n", "  hours_used: ", "&a ", "*a", "[", "{", "- ", "a, ", "x: ", "\n",
        "'", "9", "|\n", "? ", "#",
    ],
    "template": [
        "{{ ", " }}", "{% for a in ", " %}", "{% endfor %}", "model_id", " | ", "'x' * ", "9", "range(", ")", "[",
        "~ ", "\n", "default('", "join(",
    ],
}  # fmt: skip
KINDS = tuple(PARTS)


def made(kind: str, random_: random.Random) -> str:
    """Return an input: a few pieces that are repeated many times, in turn or one after the other."""
    parts = [random_.choice(PARTS[kind]) for _ in range(random_.randint(1, 4))]
    parts += ["\n"] * random_.randint(0, 1)
    size = int(10 ** random_.uniform(3, 5.6))
    if random_.random() < 0.5:
        piece = "".join(parts)
        return (piece * (size // len(piece) + 1))[:LARGEST]
    return "".join(part * (size // len(parts) // len(part) + 1) for part in parts)[:LARGEST]


def read(kind: str, text: str, folder: Path) -> None:
    """Read *text* as its kind of file."""
    path = folder / ("form.md.j2" if kind == "template" else "input")
    try:
        if kind == "front matter":
            fill(f"---\n{text}\n---\n# A\n", fuzz_cards.FACTS, fuzz_cards.FRONT, remembered={})
        elif kind == "body":
            fill(f"# A\n\n{text}", fuzz_cards.FACTS, fuzz_cards.FRONT, remembered={})
        elif kind == "record":
            from_json(text)
        elif kind == "labels":
            path.write_text(text, encoding="utf-8")
            load([path])
        else:
            path.write_text(text, encoding="utf-8")
            blank(str(path), {})
    except AutocardError:
        pass


def pause_s(work: Callable[[], object]) -> float:
    """Return the longest pause, in seconds of CPU, of a thread that beats every 10 ms while *work* runs."""
    longest, end = 0.0, threading.Event()
    last = time.process_time()

    def beat() -> None:
        nonlocal longest, last
        while not end.wait(0.01):
            now = time.process_time()
            longest, last = max(longest, now - last), now

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    work()
    time.sleep(0.03)
    end.set()
    thread.join()
    return longest


def measure(kind: str, seed: int, count: int) -> None:
    """Print a line for each input: its number, and the longest pause."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            print(json.dumps({"begun": number}), flush=True)
            text = made(kind, random.Random(f"{seed}/{kind}/{number}"))  # noqa: S311 - not for secrets
            found = pause_s(partial(read, kind, text, Path(folder)))
            print(json.dumps({"number": number, "pause_s": round(found, 3)}), flush=True)


def search(kind: str, seed: int, count: int) -> list[str]:
    """Return the inputs that blocked the other thread or did not return, each with the arguments that reproduce it."""
    command = [
        sys.executable,
        "-m",
        "support.heartbeat",
        "--seed",
        str(seed),
        "--only",
        kind,
        "--count",
        str(count),
        "--measure",
    ]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=max(LIMIT_S, count),
            check=False,
            cwd=TESTS,
        )
        printed, failed = done.stdout, done.stderr[-500:] if done.returncode else ""
    except subprocess.TimeoutExpired as exc:
        printed, failed = (exc.stdout or b"").decode(), "did not come back"
    lines = [json.loads(line) for line in printed.splitlines()]
    found = [f"{kind}: seed {seed}, {line}" for line in lines if line.get("pause_s", 0) > PAUSE_S]
    return [*found, f"{kind}: seed {seed}, {lines[-1:]}: {failed}"] if failed else found


def main() -> int:
    """Run from the command line; status 1 if an input blocked the interpreter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--measure", action="store_true", help="measure in this process")
    asked = parser.parse_args()
    if asked.measure:
        measure(asked.only, asked.seed, asked.count)
        return 0
    print(f"seed {asked.seed}")
    found = [
        one
        for kind in ([asked.only] if asked.only else KINDS)
        for one in search(kind, asked.seed, asked.count)
    ]
    for one in found:
        print("HELD", one)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
