"""Trainings in processes that tests start: each such Python watches itself, and writes down what it found.

`sitecustomize.py` in `child/` is on the path of every Python that a test starts with the tests'
environment, as rigs, launchers and Slurm's stand-in do. It waits until autocard's callback is
imported; any other Python is left alone.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from truth.watch import Watch

VARIABLE = "TRUTH_FINDINGS"
"""Names the folder that findings of other processes go to."""
CHILD = Path(__file__).parent / "child"


def environment(folder: Path, there: str) -> dict[str, str]:
    """Return what makes Pythons that are started watch themselves; *there* is the path that they have."""
    path = [str(CHILD), *(part for part in there.split(os.pathsep) if part)]
    return {VARIABLE: str(folder), "PYTHONPATH": os.pathsep.join(path)}


def watch() -> None:
    """Watch the trainings of this process, which has just imported the callback."""
    made = Watch()
    made.on_look = Writer(Path(os.environ[VARIABLE]))
    made.install()


class Writer:
    """Appends what each look found to a file of this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def __call__(self, fields: int, false: list[str], spent_s: float) -> None:
        line = json.dumps(
            {"fields": fields, "false": false, "spent_s": spent_s, "pid": os.getpid()}
        )
        with (
            self._lock,
            (self._folder / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file,
        ):
            file.write(line + "\n")


@dataclass
class Findings:
    """Reads what other processes wrote, each line once."""

    folder: Path
    runs: int = 0
    fields: int = 0
    spent_s: float = 0.0
    false: list[str] = field(default_factory=list)
    _read: dict[Path, int] = field(default_factory=dict)

    def look(self) -> list[str]:
        """Return what is false of it since the last look."""
        found: list[str] = []
        for file in sorted(self.folder.glob("*.jsonl")):
            with file.open(encoding="utf-8") as lines:
                lines.seek(self._read.get(file, 0))
                for line in iter(lines.readline, ""):
                    if not line.endswith("\n"):  # it is being written
                        break
                    told = json.loads(line)
                    self.runs, self.fields = self.runs + 1, self.fields + told["fields"]
                    self.spent_s += told["spent_s"]
                    found += told["false"]
                    self._read[file] = lines.tell()
        self.false += found
        return found
