"""Which software it ran with: libraries and their versions, the code."""

from __future__ import annotations

from collections.abc import Sequence

from autocard import units
from autocard.card.fact import Fact, code, plain
from autocard.card.fields.folds import folded
from autocard.card.fields.identity import code_commit
from autocard.card.fields.words import inline, joined
from autocard.record import RunRecord

_NAMES = {
    "python": "Python",
    "os": "",  # its version names it
    "autocard": "autocard",
    "transformers": "Transformers",
    "peft": "PEFT",
    "trl": "TRL",
    "sentence-transformers": "Sentence Transformers",
    "torch": "PyTorch",
    "accelerate": "Accelerate",
    "datasets": "Datasets",
    "tokenizers": "Tokenizers",
    "codecarbon": "CodeCarbon",
    "deepspeed": "DeepSpeed",
    "huggingface_hub": "huggingface_hub",
    "numpy": "NumPy",
}
"""Names as their authors write them, in the order of the card; others follow by name."""

_FRAMEWORKS = (
    "peft",
    "trl",
    "sentence-transformers",
    "transformers",
    "torch",
    "accelerate",
    "datasets",
    "tokenizers",
)
"""What the own cards of PEFT, the Trainer, TRL and sentence-transformers list under "Framework
versions"."""

_FIRST = ("transformers", "torch")
"""What is named where the versions are folded."""


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the facts that describe the software."""
    return {"software": _software(record), "framework_versions": _frameworks(record)}


def _software(record: RunRecord) -> Fact | None:
    """Return versions, folded below the ones that readers look for, and which code ran."""
    lines = [_version(name, record.software[name]) for name in _ordered(record.software)]
    ran = _code(record)
    if not lines:
        return Fact(ran) if ran else None
    fold = folded(_inside(record), "\n".join(f"- {line}" for line in lines))
    return Fact(joined([*lines, ran]), joined([fold, ran], "\n\n"))


def _inside(record: RunRecord) -> str:
    """Return what is folded: "12 versions: Transformers 5.23.0, PyTorch 2.13.0, …"."""
    software = record.software
    count = units.plural(len(software), "version")
    first = [f"{_NAMES[name]} {plain(software[name])}" for name in _FIRST if name in software]
    return f"{count}: {joined(first)}, …" if len(software) > len(first) > 0 else count


def versions(record: RunRecord) -> tuple[Fact | None, Fact | None]:
    """Return the frameworks that libraries list in their cards, and the other software.

    PEFT adds a line of its own where "- PEFT <version>" is not there.
    """
    software = _software_of_card(record)
    listed = [_version(name, software[name]) for name in _FRAMEWORKS if name in software]
    others = [
        _version(name, software[name]) for name in _ordered(software) if name not in _FRAMEWORKS
    ]
    return _as_list(listed), _as_list([*others, *filter(None, [_code(record)])])


def all_versions(record: RunRecord) -> Fact:
    """Return all software as one list: the frameworks first, then the others in one item."""
    listed, others = versions(record)
    lines = [] if listed is None else [listed.body()]
    if others is not None:
        lines.append(f"- Other software: {others.line}")
    return Fact(joined(fact.line for fact in (listed, others) if fact), "\n".join(lines))


def _software_of_card(record: RunRecord) -> dict[str, str]:
    peft_version = _peft_version(record)
    if peft_version is None:
        return record.software
    return {**record.software, "peft": peft_version}


def _as_list(lines: Sequence[str]) -> Fact | None:
    if not lines:
        return None
    return Fact(", ".join(lines), "\n".join(f"- {line}" for line in lines))


def _code(record: RunRecord) -> str | None:
    """Return which code ran without a public address; with one, the repository's slot has it."""
    ran = record.code
    if ran.remote or not ran.commit:
        return None
    script = f" {code(ran.script)}" if ran.script else ""
    return f"Training code{script} at {code_commit(ran)}"


def _ordered(software: dict[str, str]) -> list[str]:
    known = [name for name in _NAMES if name in software]
    return [*known, *sorted(software.keys() - _NAMES.keys(), key=str.lower)]


def _version(name: str, version: str) -> str:
    return f"{_NAMES.get(name, inline(name))} {inline(version)}".lstrip()


def _frameworks(record: RunRecord) -> Fact | None:
    """Return the lines that PEFT looks for when it saves; None: PEFT was not used.

    PEFT adds its own where "- PEFT <version>" is not there. Without PEFT the versions stand under
    Software alone.
    """
    return None if _peft_version(record) is None else versions(record)[0]


def _peft_version(record: RunRecord) -> str | None:
    for adapter in record.adapters:
        if adapter.peft_version_runtime:
            return adapter.peft_version_runtime
    return None
