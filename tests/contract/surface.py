"""What other programs and people rely on, as data: commands, statuses, names, settings, fields, schema, labels."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import json
import os
import re
import shutil
import sys
import typing
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

HERE = Path(__file__).parent
RECORDS = HERE / "records"

RECORD_NAMES = [
    "RECORD_NAME",
    "SCHEMA_VERSION",
    "from_json",
    "json_schema",
    "load",
    "to_json",
    "unexplained",
]
SETTINGS_NAMES = ["Settings", "disabled", "resolve"]
VALUES = {
    "template": "compact",
    "card": "CARD.md",
    "base_model": "org/base",
    "datasets": "org/one,org/two",
    "country_iso_code": "USA",
    "region": "california",
    "geolocate": "1",
    "carbon_intensity_g_per_kwh": "12.5",
    "market_based_co2eq_g": "0",
    "pue": "1.2",
    "wue_l_per_kwh": "0.4",
    "cpu_power_w": "65",
    "ram_power_w": "20",
    "measure_power_secs": "5",
    "node_meter": "/sys/energy",
    "node_meter_unit": "mJ",
    "ledger_dir": "/local",
    "empty": "placeholder",
    "detail": "full",
    "sections": "front_matter,environment",
    "emissions": "0",
    "last_word": "0",
    "remote_hosts": "git.example.org",
    "plots": "0",
    "quiet": "1",
}
"""Setting → what its variable says, as text."""


def command(*words: str, folder: Path | None = None) -> tuple[int, str]:
    """Run `autocard` with *words*, in this process and in *folder*; return exit status and standard output."""
    (point,) = entry_points(group="console_scripts", name="autocard")
    out, before, argv = io.StringIO(), Path.cwd(), sys.argv
    status: Any = 0
    os.chdir(folder or before)
    sys.argv = ["autocard", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            point.load()()
    except SystemExit as exc:
        status = exc.code or 0
    finally:
        os.chdir(before)
        sys.argv = argv
    return int(status), out.getvalue()


# -- commands --------------------------------------------------------------------------------------


def commands() -> dict[str, list[str]]:
    """Return, by command, the names of its options and arguments; under an empty name those of `autocard` itself."""
    names = {"": _names(command("--help")[1])}
    listed = re.findall(r"(?m)^[│|] ([a-z][\w-]*) ", command("--help")[1].partition("Commands")[2])
    return names | {name: _names(command(name, "--help")[1]) for name in listed}


def _names(help_text: str) -> list[str]:
    rows = re.findall(
        r"(?m)^[│|] {1,4}\*? {0,4}((?:-|[A-Z])\S*)(?: +(-[a-z]|--[a-z-]+) )?", help_text
    )
    return sorted({name for row in rows for name in row if name})


STATUSES: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "help": ("--help",),
    "version": ("--version",),
    "no such command": ("fly",),
    "no such option": ("show", "run", "--fly"),
    "show a folder": ("show", "run"),
    "show a file": ("show", "run/autocard.json"),
    "show as JSON": ("show", "run", "--json"),
    "show what is not there": ("show", "nowhere"),
    "show what is no record": ("show", "broken"),
    "show a newer record": ("show", "newer"),
    "render": ("render", "--record", "run"),
    "render a shipped form": ("render", "--record", "run", "--template", "compact"),
    "render no form": ("render", "--record", "run", "--template", "nowhere.md"),
    "render without a record": ("render",),
    "render into a new file": ("render", "--record", "run", "-o", "new/README.md"),
    "render over a file": ("render", "--record", "run", "-o", "run/README.md"),
    "fill what is up to date": ("fill", "run"),
    "fill: nothing would change": ("fill", "run", "--check"),
    "fill: something would change": ("fill", "empty/README.md", "--record", "run", "--check"),
    "fill: what would change": ("fill", "empty/README.md", "--record", "run", "--diff"),
    "fill": ("fill", "empty/README.md", "--record", "run"),
    "fill without a record": ("fill", "alone/README.md"),
    "fill a card that cannot be read": ("fill", "bytes/README.md", "--record", "run"),
    "fill no such slot": ("fill", "run", "--overwrite", "no such slot"),
    "fill, a slot by its label": ("fill", "run", "--overwrite", "Hours used"),
    "check what is up to date": ("check", "run"),
    "check what only people can fill": ("check", "run", "--strict"),
    "check an empty card": ("check", "empty/README.md", "--record", "run"),
    "check as JSON": ("check", "run", "--json"),
    "check no card": ("check", "nowhere"),
    "reconcile": ("reconcile", "energy", "--kwh", "0.1", "--source", "a meter", "--diff"),
    "reconcile: two figures": (
        "reconcile",
        "energy",
        "--kwh",
        "1",
        "--joules",
        "1",
        "--source",
        "a meter",
    ),
    "reconcile without a source": ("reconcile", "energy", "--kwh", "1"),
    "schema": ("schema",),
}
"""A typical call → its words; in a folder that `lay_out` made."""
EMPTY_CARD = "# Model\n\n## Environmental Impact\n\n- **Hours used:** [More Information Needed]\n"


def lay_out(folder: Path) -> None:
    """Put into *folder* what the calls in `STATUSES` are about."""
    shutil.copytree(RECORDS / "lora", folder / "run")
    # A card of the frozen version has other words; up to date is what this version has written.
    assert command("fill", "run", folder=folder)[0] == 0
    shutil.copytree(RECORDS / "measured", folder / "energy")
    for name, text in {"empty": EMPTY_CARD, "alone": EMPTY_CARD}.items():
        (folder / name).mkdir()
        (folder / name / "README.md").write_text(text, encoding="utf-8")
    for name, text in {"broken": "{", "newer": '{"schema_version": 99}'}.items():
        (folder / name).mkdir()
        (folder / name / "autocard.json").write_text(text, encoding="utf-8")
    (folder / "bytes").mkdir()
    (folder / "bytes" / "README.md").write_bytes(b"\xff\xfe\x00")
    (folder / "new").mkdir()


def statuses(folder: Path) -> dict[str, int]:
    """Return the exit status of each call in `STATUSES`, each in a folder of its own."""
    found = {}
    for number, (name, words) in enumerate(STATUSES.items()):
        place = folder / str(number)
        place.mkdir()
        lay_out(place)
        found[name] = command(*words, folder=place)[0]
    return found


# -- names -----------------------------------------------------------------------------------------


def names() -> dict[str, Any]:
    """Return the public names, and the keywords of what is called, with their defaults."""
    import autocard
    from autocard import record, settings

    parts = {
        name
        for name, one in vars(record).items()
        if inspect.isclass(one) and issubclass(one, BaseModel)
    }
    parts = {name for name in parts if not name.startswith("_")} - {"BaseModel", "Frozen"}
    signature = inspect.signature(settings.resolve).parameters
    return {
        "autocard": sorted(autocard.__all__),
        "autocard.record": sorted(parts | {name for name in RECORD_NAMES if hasattr(record, name)}),
        "autocard.settings": [name for name in SETTINGS_NAMES if hasattr(settings, name)],
        "AutoCardCallback": _keywords(autocard.AutoCardCallback),
        "attach": _keywords(autocard.attach),
        "resolve": [*signature],
        "load": [*inspect.signature(record.load).parameters][:1],
        "RECORD_NAME": record.RECORD_NAME,
        "SCHEMA_VERSION": record.SCHEMA_VERSION,
    }


def _keywords(called: Any) -> dict[str, str]:
    parameters = inspect.signature(called).parameters.values()
    return {
        one.name: f"{one.kind.description}, {'required' if one.default is one.empty else repr(one.default)}"
        for one in parameters
    }


def settings() -> dict[str, Any]:
    """Return each setting's default, and what its environment variable gives."""
    from autocard.settings import Settings, resolve

    given = {f"AUTOCARD_{name.upper()}": value for name, value in VALUES.items()}
    # a folder without a pyproject.toml of its own is enough: arguments and variables win
    empty = HERE / "stories"
    read = dataclasses.asdict(resolve({}, given, empty))
    defaults = dataclasses.asdict(Settings())
    return {
        name: {"default": value, "from_variable": _plain(read[name])}
        for name, value in defaults.items()
    } | {"sources": _plain(read["sources"])}


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def fields() -> list[str]:
    """Return every leaf of a record with its type, in the order of the file."""
    from autocard.record import RunRecord

    return list(_leaves(RunRecord, ""))


def _leaves(part: type[BaseModel], path: str) -> Iterator[str]:
    for name, field in part.model_fields.items():
        inner, suffix = _part(field.annotation)
        if inner is not None:
            yield from _leaves(inner, f"{path}{name}{suffix}.")
        else:
            yield f"{path}{name}: {_type(field.annotation)}"


def _part(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation, ""
    for argument in typing.get_args(annotation):
        if inspect.isclass(argument) and issubclass(argument, BaseModel):
            return argument, "[]" if typing.get_origin(annotation) is list else ""
    return None, ""


def _type(annotation: Any) -> str:
    text = (
        annotation.__name__
        if inspect.isclass(annotation) and not hasattr(annotation, "__args__")
        else str(annotation)
    )
    return text.replace("typing.", "")


def schema() -> Any:
    """Return the JSON Schema that `autocard schema` prints, without its descriptions."""
    return _bare(json.loads(command("schema")[1]))


def _bare(node: Any) -> Any:
    if isinstance(node, Mapping):
        dropped = {name for name in ("description", "title") if isinstance(node.get(name), str)}
        return {name: _bare(value) for name, value in node.items() if name not in dropped}
    return [_bare(one) for one in node] if isinstance(node, list) else node


def labels() -> dict[str, Any]:
    """Return the names in the table of labels, and the words of each fact."""
    table = yaml.safe_load(
        (files("autocard") / "templates" / "labels.yaml").read_text(encoding="utf-8")
    )
    found: dict[str, Any] = {
        part: sorted(body) for part, body in table.items() if isinstance(body, dict)
    }
    return found | {
        "facts": {name: _words(about) for name, about in table["facts"].items()},
        "parts": sorted(table),
    }


def _words(about: Mapping[str, Any]) -> dict[str, Any]:
    under = {section: sorted(map(str, words)) for section, words in about.get("under", {}).items()}
    return {
        "words": sorted(map(str, about.get("words", []))),
        "under": under,
        "who": about.get("who", ""),
    }


def forms() -> list[str]:
    """Return the names that the command line gives for the shipped forms."""
    from autocard.card.fill.new_card import SHIPPED

    return sorted(SHIPPED)


PARTS = ["commands", "names", "settings", "fields", "schema", "labels", "forms"]
"""Functions of this module, each of which gives one file."""
