"""Freeze the contract: what later versions have to read, render and answer as this one does.

    python tests/contract/make.py                 trains, kills and freezes everything (about four
    minutes) python tests/contract/make.py cards stories   makes these parts again from the frozen
    records: review the diff python tests/contract/make.py --compare       trains again, writes
    nothing, says what today's records say otherwise

Parts: records, states, cards, stories, surface. `records` and `states` train; they need a C
compiler and the right to make mount namespaces, as the tests of clusters do. Run it from a clean
environment, with the versions of constraints.txt; nothing that it writes names a machine or a
folder.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comparing
import interrupted
import rendering_of_records
import stories
import surface
import trainings

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent

PARTS = ["records", "states", "cards", "stories", "surface"]
WITH_CARD = ["broken-off", "dpo-lora", "facts-of-a-person", "gpus", "lora", "measured", "search", "sentence-embeddings",
             "stream", "two-hosts"]  # fmt: skip
"""Records beside which the card lies that the training left."""
OUTPUT = HERE / "surface"
CHANGELOG = TESTS.parent / "CHANGELOG.md"
FROZEN = HERE / "frozen.json"


def train(folder: Path, names: list[str] | None = None) -> None:
    """Train what `trainings` lists, as the script of a repository whose commit and remote are the same each time."""
    project = folder / "project"
    project.mkdir(parents=True)
    shutil.copy(HERE / "trainings.py", project / "train.py")
    date = "2026-01-01T00:00:00Z"
    author = {
        f"GIT_{who}_{what}": "a@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    environment = {**_environment(), **author, **dates}
    remote = ["remote", "add", "origin", "https://github.com/example-org/example.git"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "Train"], remote):
        subprocess.run(["git", *words], cwd=project, check=True, env=environment)
    command = [sys.executable, str(project / "train.py"), str(folder), *(names or [])]
    subprocess.run(
        command, check=True, env=environment, stderr=subprocess.DEVNULL, stdout=sys.stderr
    )


def _environment() -> dict[str, str]:
    """Return this process's environment without what would be a setting."""
    ours = ("ACCELERATE_", "AUTOCARD_", "CODECARBON_", "SLURM_", "CUDA_", "GIT_", "RANK", "WORLD_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(TESTS)}


def freeze_records(top: Path) -> None:
    """Keep each training's record, and some cards."""
    train(top)
    to = _empty(HERE / "records")
    for name in [*trainings.NAMES, *interrupted.RECORDS]:
        source = top / name / name
        (to / name).mkdir()
        shutil.copy(source / "autocard.json", to / name)
        if name in WITH_CARD:
            shutil.copy(source / "README.md", to / name)


def freeze_states(top: Path) -> None:
    """Keep the output folders of the trainings that were killed, and what is said of them when they are resumed."""
    to = _empty(HERE / "states")
    for name in interrupted.STATES:
        shutil.copytree(top / name / name, to / name)
        # Paths are in the first, nothing is in the second; one process trains on, and there is no
        # need of the others.
        for pattern in ("training_args.bin", "*.lock", "rng_state_[1-9].pth"):
            for left_out in (to / name).rglob(pattern):
                left_out.unlink()
        for how in ("here", "elsewhere"):
            command = [
                sys.executable,
                "-W",
                "ignore",
                str(HERE / "resuming.py"),
                name,
                str(top / name / how),
                how,
            ]
            done = subprocess.run(
                command, check=True, env=_environment(), capture_output=True, text=True
            )
            expected = json.loads(done.stdout.splitlines()[-1])
            _write(HERE / "states" / f"{name}.{how}.json", expected)


def freeze_cards() -> None:
    """Render the frozen records."""
    to = _empty(rendering_of_records.CARDS)
    for record, form in rendering_of_records.wanted():
        with tempfile.TemporaryDirectory() as folder:
            text = rendering_of_records.render(record, form, Path(folder))
        (to / rendering_of_records.name_of(record, form)).write_bytes(text)


def freeze_stories() -> None:
    """Write the end of each story again, and the beginning of those that begin with a card of a frozen record."""
    for name in stories.OF_A_RECORD:
        (stories.FOLDER / name / "before.md").write_text(
            stories.before_of_record(name), encoding="utf-8"
        )
    for name in stories.names():
        with tempfile.TemporaryDirectory() as folder:
            (stories.FOLDER / name / "after.md").write_bytes(stories.after(name, Path(folder))[0])


def freeze_surface() -> None:
    """Write down what others rely on."""
    OUTPUT.mkdir(exist_ok=True)
    for name in surface.PARTS:
        _write(OUTPUT / f"{name}.json", getattr(surface, name)())
    with tempfile.TemporaryDirectory() as folder:
        _write(OUTPUT / "statuses.json", surface.statuses(Path(folder)))


def compare(top: Path) -> Iterator[str]:
    """Train again; yield what the records of today say otherwise than the frozen ones."""
    train(top)
    for name in trainings.NAMES:
        then = json.loads((HERE / "records" / name / "autocard.json").read_text(encoding="utf-8"))
        now = json.loads((top / name / name / "autocard.json").read_text(encoding="utf-8"))
        yield from (f"{name}: {line}" for line in comparing.differences(then, now))


def name_the_commit() -> None:
    """Write down, here and in the change log, which commit's records and states these are."""
    git = ["git", "-C", str(HERE), "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
    version = json.loads((HERE / "records" / "lora" / "autocard.json").read_text(encoding="utf-8"))[
        "autocard_version"
    ]
    _write(FROZEN, {"version": version, "commit": commit})
    told = CHANGELOG.read_text(encoding="utf-8")
    CHANGELOG.write_text(
        re.sub(r"(?m)^Commit `\w+`", f"Commit `{commit}`", told, count=1), encoding="utf-8"
    )


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> int:
    """Freeze the parts that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []])
    parser.add_argument("--compare", action="store_true")
    asked = parser.parse_args()
    parts = asked.parts or PARTS
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        if asked.compare:
            found = list(compare(top))
            print("\n".join(found) or "the records say the same")
            return int(bool(found))
        if {"records", "states"} & set(parts):
            subprocess.run(
                [sys.executable, str(HERE / "interrupted.py"), folder],
                check=True,
                env=_environment(),
            )
        if "records" in parts:
            freeze_records(top)
        if "states" in parts:
            freeze_states(top)
    if {"records", "states"} <= set(parts):
        name_the_commit()
    for name, step in {
        "cards": freeze_cards,
        "stories": freeze_stories,
        "surface": freeze_surface,
    }.items():
        if name in parts:
            step()
    return 0


if __name__ == "__main__":
    sys.exit(main())
