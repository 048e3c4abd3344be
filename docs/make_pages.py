"""Write the generated parts of README.md and of the users' pages again.

Usage: python docs/make_pages.py, or with --check (reports whether each page is up to date). A
generated part stands between `<!-- made: NAME -->` and `<!-- end -->`; `MAKERS` has what makes it.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
import yaml
from typer.testing import CliRunner

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]

import gallery  # noqa: E402 - beside this file

from autocard.card.fields import facts as facts_of  # noqa: E402 - of this tree
from autocard.cli import app  # noqa: E402
from autocard.record import load  # noqa: E402

WORDS_BEFORE = HERE / "gallery" / "words_0.1.0.json"
"""Run → visible words of the card that 0.1.0 wrote of the same training."""
PART = re.compile(r"(?s)(<!-- made: ([\w-]+) -->\n)(.*?)(<!-- end -->\n)")
PAGES = [ROOT / "README.md", *sorted(HERE.glob("*.md"))]
RECORD = ROOT / "examples" / "README.card.json"
PLAIN_CARD = ROOT / "examples" / "README.without.md"
"""Of the same training, as Trainer and PEFT write it."""
WHO = {
    "machine": "autocard",
    "suggested": "you, or `autocard fill --suggest`",
    "person": "you",
}
"""Who fills a fact, in the words of the page."""


def facts() -> str:
    """Return the table of all facts, from templates/labels.yaml."""
    table = yaml.safe_load((ROOT / "templates" / "labels.yaml").read_text(encoding="utf-8"))
    rows = [
        f"| `{name}` | {_cell(one['title'])} | {WHO[one['who']]} | {_cell(one.get('guide', ''))} |"
        for name, one in table["facts"].items()
    ]
    head = ["| Fact | On the card | Filled by | What belongs there |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows])


def commands() -> str:
    """Return a section for each command, from the texts of its --help."""
    group: Any = typer.main.get_command(app)
    found = [(name, group.get_command(None, name)) for name in group.list_commands(None)]
    return "\n\n".join(block for name, command in found for block in _command(name, command))


def _command(name: str, command: Any) -> Iterator[str]:
    """Yield the Markdown blocks of one command."""
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    given = [one for one in command.params if one.param_type_name == "option"]
    words = [name, *(_metavar(one) for one in arguments), *(["[OPTIONS]"] if given else [])]
    yield f"## autocard {name}"
    yield f"```\nautocard {' '.join(words)}\n```"
    for text in inspect.cleandoc(command.help or "").split("\n\n"):
        yield _cell(text)
    rows = [f"| `{_metavar(one)}` | {_cell(one.help or '')} |" for one in arguments]
    rows += [f"| {_option(one)} | {_cell(one.help or '')} |" for one in given]
    if rows:
        yield "\n".join(["| | |", "| --- | --- |", *rows])


def _metavar(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return f"{name}…" if argument.nargs == -1 else str(name)


def _option(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or option.type.name.upper()}"
    return ", ".join(f"`{name}{value}`" for name in option.opts)


def show() -> str:
    """Return what `autocard show` prints of the demo's run."""
    shown = CliRunner().invoke(app, ["show", str(RECORD)])
    lines = [line.rstrip() for line in shown.output.splitlines()]
    return "\n".join(["```", *lines, "```"])


def comparison() -> str:
    """Return what the demo's card says without autocard and with it, side by side."""
    plain = PLAIN_CARD.read_text(encoding="utf-8")
    (base,) = re.findall(r"(?m)^base_model: (.*)$", plain)
    (sentence,) = re.findall(r"(?m)^This model (.*)\.$", plain)
    results = re.findall(r"(?m)^- ((?:Loss|Accuracy): [\d.]+)$", plain)
    known = facts_of(load(RECORD))
    adapter = re.findall(r"(?m)^- Adapter: (.*)$", known["model_specs"].body())
    rows = {
        "Base model": (f"`{base}`", known["base_model"].line),
        "Data": (f"`{sentence}`", known["training_data"].line.partition(", columns")[0]),
        "Method": ("", f"{adapter[0]}; {known['training_regime'].line}"),
        "Results": (", ".join(results), known["results"].line),
        "Hardware": ("", known["hardware_type"].line),
        "Hours": ("", known["hours_used"].line),
        "Energy": ("", known["energy"].line.partition(" (")[0]),
        "CO2": ("", known["co2_emitted"].line),
    }
    lines = [f"| {name} | {left or 'nothing'} | {right} |" for name, (left, right) in rows.items()]
    return "\n".join(["| | Without autocard | With autocard |", "| --- | --- | --- |", *lines])


def words() -> str:
    """Return how many words of each card of the gallery a reader sees, before and today."""
    before = json.loads(WORDS_BEFORE.read_text(encoding="utf-8"))
    rows = [
        f"| {run.title} | {before[name]:,} | {gallery.visible_words(gallery.card(name)):,} |"
        for name, run in gallery.RUNS.items()
    ]
    head = ["| Card | Words in 0.1.0 | Words today |", "| --- | ---: | ---: |"]
    return "\n".join([*head, *rows])


def pictures() -> str:
    """Return a section with the pictures of each card of the gallery."""
    return "\n\n".join(
        f"## {run.title}\n\n"
        f'<img src="images/{name}_wide.png" alt="{run.title}, wide" width="49%">\n'
        f'<img src="images/{name}_dark.png" alt="{run.title}, dark" width="49%">\n\n'
        f'<img src="images/{name}_phone.png" alt="{run.title}, 390 pixels wide" width="33%">'
        for name, run in gallery.RUNS.items()
    )


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|").replace("<", "&lt;")


MAKERS: dict[str, Callable[[], str]] = {
    "facts": facts,
    "commands": commands,
    "comparison": comparison,
    "pictures": pictures,
    "show": show,
    "words": words,
}


def made(text: str) -> str:
    """Return *text* with its generated parts as they are today."""
    return PART.sub(lambda part: f"{part[1]}\n{MAKERS[part[2]]()}\n\n{part[4]}", text)


def main() -> int:
    """Write the pages; with --check, only name those that are out of date."""
    stale = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if made(text) != text:
            stale.append(page)
            if "--check" not in sys.argv[1:]:
                page.write_text(made(text), encoding="utf-8")
    for page in stale:
        print(page.relative_to(ROOT))
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
