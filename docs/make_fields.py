"""Write docs/dev/fields.md: every field of the record → slots of a card → its source → its proof.

Usage: python docs/make_fields.py (writes the file), or with --check (reports whether it is up to
date). The slots of a field are not listed anywhere, but found: the field is removed from the sample
records, and the slots that change are its slots.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests"
OUT = HERE / "dev" / "fields.md"

sys.path[:0] = [str(HERE.parent), str(TESTS), str(HERE)]

import proofs  # noqa: E402 - beside this file
import yaml  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from autocard import record as parts  # noqa: E402
from autocard.card.fields import facts, front_matter  # noqa: E402
from support import records  # noqa: E402 - the tests' sample records

HEAD = """<!-- Made by docs/make_fields.py from the code; tests/project/test_docs_fields.py holds it up to date. -->

# Fields

What a run knows, where a card shows it, where it comes from, and what proves it. A proof shares no code with what it
proves: the test's own clock, hooks in the forward pass, files that other libraries saved, counts by another way.
"""  # noqa: E501 - lines of the page


def leaves(part: type[BaseModel], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, description) of every leaf of the model *part*; `[]` marks an item of a list."""
    docs = dict(_docs(part))
    for name, field in part.model_fields.items():
        place = f"{path}.{name}" if path else name
        inner, many = _inner(field.annotation)
        if inner is not None:
            yield from leaves(inner, place + ("[]" if many else ""))
        else:
            yield place, docs.get(name, "")


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for argument in typing.get_args(annotation):
        inner, many = _inner(argument)
        if inner is not None:
            return inner, many or typing.get_origin(annotation) is list
    return None, False


def _docs(part: type[BaseModel]) -> Iterator[tuple[str, str]]:
    yield from parts.field_docs(part)


def shown_in() -> dict[str, set[str]]:
    """Return leaf → facts and front-matter keys that change without it in a sample record."""
    found: dict[str, set[str]] = {}
    for make in records.ALL.values():
        whole = make()
        before, front = facts(whole), front_matter(whole)
        for path, emptied in _emptied(whole, ""):
            after, front_after = facts(emptied), front_matter(emptied)
            changed = {
                name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
            }
            keys = front.keys() | front_after.keys()
            changed |= {f"`{key}:`" for key in keys if front.get(key) != front_after.get(key)}
            found.setdefault(path, set()).update(changed)
    return found


def _emptied(part: BaseModel, path: str) -> Iterator[tuple[str, Any]]:
    """Yield (leaf, *part* without it, or with it if it was missing).

    A required leaf gets another value.
    """
    for name in type(part).model_fields:
        place, value = (f"{path}.{name}" if path else name), getattr(part, name)
        if isinstance(value, BaseModel):
            inside = _emptied(value, place)
            yield from ((leaf, part.model_copy(update={name: without})) for leaf, without in inside)
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            for number, one in enumerate(value):
                for leaf, without in _emptied(one, f"{place}[]"):
                    yield (
                        leaf,
                        part.model_copy(
                            update={name: [*value[:number], without, *value[number + 1 :]]}
                        ),
                    )
        elif value not in (None, [], {}):
            yield (
                place,
                part.model_copy(update={name: _other(type(part).model_fields[name], value)}),
            )
        elif (made := _made_up(type(part).model_fields[name].annotation)) is not None:
            yield place, part.model_copy(update={name: made})


def _other(field: Any, value: Any) -> Any:
    if field.is_required():
        return value + 1 if isinstance(value, int | float) else f"{value}x"
    return field.get_default(call_default_factory=True)


def _made_up(annotation: Any) -> Any:
    """Return a value that *annotation* allows; None: a list of parts, which samples must have."""
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)[-1]
    simple = {str: "sample", int: 24, float: 0.5, bool: True}
    if annotation in simple:
        return simple[annotation]
    of = [
        _made_up(argument) for argument in typing.get_args(annotation) if argument is not type(None)
    ]
    if not of or of[0] is None:
        return None
    if typing.get_origin(annotation) is list:
        return [of[0]]
    if typing.get_origin(annotation) is dict:
        return {of[0]: of[1]}
    return of[0]


def text() -> str:
    """Return the whole document."""
    shown = shown_in()
    return "\n".join([HEAD, *_slots(shown), "", *_leaves(shown), "", *_matrices()]) + "\n"


def _slots(shown: dict[str, set[str]]) -> list[str]:
    table = yaml.safe_load((HERE.parent / "templates" / "labels.yaml").read_text(encoding="utf-8"))[
        "facts"
    ]
    head = "| Slot | Words in a form that ask for it | Fields that it is made of |"
    lines = ["## Slots", "", head, "| --- | --- | --- |"]
    for name, about in table.items():
        if about.get("who") == "person":
            continue
        asked = [
            *about.get("words", []),
            *(word for words in about.get("under", {}).values() for word in words),
        ]
        asked += about.get("fallback", []) if isinstance(about.get("fallback"), list) else []
        made = _shortened(leaf for leaf, names in shown.items() if name in names)
        lines.append(
            f"| {about['title']} (`{name}`) "
            f"| {_cell(', '.join(dict.fromkeys(map(str, asked))))} | {made} |"
        )
    return lines


def _shortened(found: Iterator[str]) -> str:
    """Return *found* by their parts: `energy.{cpu_kwh, gpu_kwh}`."""
    groups: dict[str, list[str]] = {}
    for leaf in sorted(found):
        part, _, name = leaf.rpartition(".")
        groups.setdefault(part, []).append(name)
    texts = []
    for part, names in groups.items():
        inside = names[0] if len(names) == 1 else f"{{{', '.join(names)}}}"
        texts.append(f"`{part}.{inside}`" if part else f"`{inside}`")
    return ", ".join(texts)


def _leaves(shown: dict[str, set[str]]) -> list[str]:
    head = ["Field of `autocard.json`", "What it is", "Slots", "Comes from", "Proved by"]
    lines = ["## Fields", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for leaf, what in leaves(parts.RunRecord):
        proof = proofs.proof_of(leaf)
        source, tests = (
            (proof.source, ", ".join(f"`{name}`" for name in proof.tests))
            if proof
            else ("", "unproved")
        )
        where = ", ".join(sorted(shown.get(leaf, set())))
        lines.append(f"| `{leaf}` | {_cell(what)} | {where} | {_cell(source)} | {tests} |")
    return lines


def _matrices() -> list[str]:
    """Return the rows of the matrices, each with how far it is proved; the tests' own tables."""
    from capture import test_adapter_matrix as adapters  # noqa: PLC0415 - torch, only for the tables
    from capture import test_parameter_counts as counts  # noqa: PLC0415
    from capture import test_precision_matrix as precision  # noqa: PLC0415

    ran = f"trained here, seen by {precision.ORACLE}"
    rows = [(name, row.term, ran) for name, row in precision.ROWS.items()]
    rows += [(name, row[0], ran) for name, row in precision.TRL.items()]
    rows += [(name, "none: the Trainer refuses", "refused here") for name in precision.REFUSED]
    rows += [
        (name, row.regime, f"real configuration objects; running it needs {row.needs}")
        for name, row in precision.NOT_RUN.items()
    ]
    lines = ["## Precision matrix", "", "| Set-up | Regime | Proved |", "| --- | --- | --- |"]
    lines += [f"| {_cell(name)} | {term} | {how} |" for name, term, how in rows]
    lines += ["", "## Adapter matrix", "", f"Oracle of each row: {adapters.ORACLE}.", ""]
    lines += ["| Adapter | Told as |", "| --- | --- |"]
    lines += [f"| {_cell(name)} | {row.method} |" for name, row in adapters.ROWS.items()]
    lines += ["", "## Matrix of parameter counts", "", "| Case | Oracle |", "| --- | --- |"]
    lines += [f"| {_cell(name)} | {_cell(oracle)} |" for name, oracle in counts.ORACLES.items()]
    return lines


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|").replace("<", "&lt;")


def main() -> int:
    """Write the document; with --check, only say whether it is as it would be written."""
    made = text()
    if "--check" in sys.argv[1:]:
        return 0 if OUT.read_text(encoding="utf-8") == made else 1
    OUT.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
