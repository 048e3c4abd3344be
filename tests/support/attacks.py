"""Attacks on cards, records, files, templates and trainings, each in a process of its own: docs/dev/attacks.md.

`python tests/support/attacks.py` runs them on the autocard that is installed; `--before FOLDER` runs them
on another checkout, too, for the column "before". An attack succeeds where the process hangs for 30
seconds, ends in an exception that is not a documented one, leaves something in the card that must
not be there, takes a file that is wrong, or refuses a card that is harmless.

To add attacks, write a function that returns {name of the try: code} and put it into KINDS. The
code runs with a temporary folder as its working folder, and says `bad("why")` where the attack has
succeeded.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from support import attacks_running

LIMIT_S = 30.0
MEMORY = "import resource; resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
TESTS = Path(__file__).resolve().parents[1]

PREPARED = """
import json, os, sys
from pathlib import Path
from autocard.errors import AutocardError
def bad(why):
    print("BAD", why)
    os._exit(9)
"""
UPDATE = (
    PREPARED
    + """
from support import records
from autocard.card.update import update
def go(text=None, facts=None, **how):
    if text is not None:
        Path("README.md").write_text(text)
    record = records.lora_on_cpu().model_copy(update={"facts": facts or {}})
    try:
        return update(Path("README.md"), record, **how)
    except AutocardError:
        return None
"""
)


def front_matter() -> dict[str, str]:
    """Return front matters that hang, raise or cost the fill."""
    from card.test_hostile_front_matter import ENDLESS, RAISING

    hang = {name: f"go('---\\n' + {text!r} + '---\\n# A\\n')" for name, text in ENDLESS.items()}
    raising = {
        name: f"done = go('---\\n' + {text!r} + '---\\n# A\\n')\nif done is None or done.left_alone: bad('refused')"
        for name, text in RAISING.items()
    }
    return {name: UPDATE + code for name, code in {**hang, **raising}.items()}


def facts() -> dict[str, str]:
    """Return facts that reach out of their places in the default form."""
    from card.test_hostile_facts import FACTS, PAYLOADS

    code = """
import autocard.card
autocard.card.fill.author_text = getattr(autocard.card, "author", None)  # the test imports it; 0.1.0 has none
from card.test_hostile_facts import shape
plain = go(facts=dict.fromkeys({names!r}, "QQword"), dry_run=True)
made = go(facts=dict.fromkeys({names!r}, {payload!r}))
if made is None: sys.exit()  # refused with a documented error
a, b = shape(plain.text), shape(made.text)
if len(a[1]) != len(b[1]) or a[2:5] != b[2:5] or a[0] != b[0]: bad("reached out")
"""
    return {
        name: UPDATE + code.format(names=FACTS, payload=payload)
        for name, payload in PAYLOADS.items()
        if name != "surrogate"
    }


def files() -> dict[str, str]:
    """Return what stands where a file should."""
    return {
        "pipe": UPDATE + "os.mkfifo('README.md')\ngo()",
        "endless": UPDATE + "os.symlink('/dev/zero', 'README.md')\ngo()",
        "pipe for a record": UPDATE + "os.mkfifo('autocard.json')\ngo('# A\\n')",
        "pipe for a template": UPDATE + "os.mkfifo('form.md')\ngo(template='form.md')",
        "link to nowhere": UPDATE
        + "os.symlink('elsewhere/x/README.md', 'README.md')\ngo()\nif Path('elsewhere').exists(): bad('made a folder')",
        "long name": UPDATE
        + "try: update(Path('x' * 300), records.lora_on_cpu())\nexcept AutocardError: pass",
    }


def labels() -> dict[str, str]:
    """Return files of words that are wrong."""
    from card.test_hostile_labels import WRONG

    code = "Path('autocard.labels.yaml').write_text({text!r})\ndone = go('# A\\n')\nif done is not None: bad('taken')"
    return {text[:40]: UPDATE + code.format(text=text) for text in WRONG}


def templates() -> dict[str, str]:
    """Return templates without an end."""
    from card.test_hostile_templates import ENDLESS

    code = "Path('form.md.j2').write_text({text!r})\ngo(template='form.md.j2')"
    return {name: UPDATE + code.format(text=text) for name, text in ENDLESS.items()}


def broken_records() -> dict[str, str]:
    """Return records with values that cannot be."""
    from record.test_broken_records import BAD

    code = (
        PREPARED
        + """
from autocard.record import load
from autocard.card import fields
Path("autocard.json").write_bytes({data!r})
try:
    record = load(Path("."))
    fields.facts(record); fields.front_matter(record)
except AutocardError:
    pass
"""
    )
    made = {name: text for name, (text, _) in BAD.items() if name != "huge"}
    return {
        name: code.format(data=text if isinstance(text, bytes) else text.encode())
        for name, text in made.items()
    }


KINDS: dict[str, Callable[[], dict[str, str]]] = {
    "front matter": front_matter,
    "facts in a new card": facts,
    "pipes, devices, links, names of files": files,
    "files of words": labels,
    "templates": templates,
    "records": broken_records,
    **attacks_running.KINDS,
}


def succeeds(code: str, checkout: Path | None) -> bool:
    """Return whether the attack *code* succeeds on *checkout* (None: on what is installed)."""
    path = (
        [str(TESTS)] if checkout is None else [str(checkout), str(checkout / "tests"), str(TESTS)]
    )
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
        script = Path(folder) / "attack.py"
        script.write_text(MEMORY + code, encoding="utf-8")
        try:
            done = subprocess.run(
                [sys.executable, str(script)],
                cwd=folder,
                env=environ,
                capture_output=True,
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return True
    return done.returncode != 0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="another checkout of autocard")
    parser.add_argument("--kind", action="append", choices=list(KINDS))
    asked = parser.parse_args()
    sys.path.insert(0, str(TESTS))
    print("| Kind | Tries | Succeeded before | Succeed now |\n| --- | ---: | ---: | ---: |")
    for kind in asked.kind or KINDS:
        tries = KINDS[kind]()
        before = (
            sum(succeeds(code, asked.before) for code in tries.values())
            if asked.before
            else "not run"
        )
        now = [name for name, code in tries.items() if succeeds(code, None)]
        print(f"| {kind} | {len(tries)} | {before} | {len(now)} |", flush=True)
        for name in now:
            print(f"{kind}: {name}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
