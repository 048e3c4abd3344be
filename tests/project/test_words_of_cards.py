"""Texts that can reach a card are in American English and in the field's own terms."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import autocard
from autocard.card.fields import facts
from autocard.record import RunRecord, load
from support import records

PACKAGE = Path(autocard.__file__).parent
ROOMS = (
    "card/fields",
    "capture",
    "energy",
    "totals",
    "distributed/reports.py",
    "trainers",
    "record/limits.py",
    "runtime/assemble.py",
    "runtime/leg_facts.py",
    "runtime/run_history.py",
    "runtime/saved_weights.py",
    "runtime/pieces/ending.py",
    "runtime/pieces/writing.py",
)
"""Where facts, their reasons and their sources get words."""
RECORDS = sorted((Path(__file__).parents[1] / "contract" / "records").glob("*/autocard.json"))

BRITISH = {
    r"\w*(?:model|label|travel|cancel|signal|channel)l(?:ed|ing)": "one l: modeled, labeled",
    r"\w*(?:optimi|initiali|normali|quanti|tokeni|stabili|regulari|seriali|utili|organi|recogni"
    r"|summari|generali|minimi|maximi|factori|synchroni|parallelis(?=e|i)|speciali|emphasi)"
    r"s(?:e[ds]?|es|ing|ation\w*)?": "z: optimized, initialization",
    r"analys(?:e|ed|ing)": "analyze",
    r"\w*colour\w*|behaviour\w*|favour\w*|neighbour\w*": "or: color, behavior",
    r"centres?|litres?|fibres?": "er: center, liter",
    r"licence[ds]?": "license",
    r"catalogues?|programmes?|artefacts?|judgements?": "catalog, program, artifact, judgment",
    r"whilst|learnt|spelt|grey": "while, learned, spelled, gray",
}
"""British spelling → what to write."""
DIALECT = {
    r"legs?": "start, or restart",
    r"data sets?": "dataset",
    r"warm-up": "warmup",
    r"number formats?": "data type, dtype",
    r"batches made by": "data collator",
    r"layers run with": "attention implementation",
    r"lets? through": "maximum sequence length",
    r"(?:was|were|be|is|are|not) (?:told|heard)|tells?|hears?": "reported, recorded, shown",
    r"looked at|looked for": "examined, searched",
    r"somebody|nobody|anybody|whoever": "name the person, or use the passive",
    r"broken off": "interrupted",
    r"set back": "reset",
    r"worked out": "computed, inferred",
    r"of the run's own|of (?:its|their|one's) own": "custom",
    r"trained on from": "continued from",
    r"(?:cut|padded) on the": "truncation on the, padding on the",
    r"for each optimizer step": "total train batch size",
    r"this version of autocard": "no advice about our version on a card",
    r"10\^-?\d+": "superscript exponents: 10¹³",
    r"1 (?:layers|labels|steps|rows|epochs|tokens|nodes|GPUs)(?!/)": "units.plural",
}
"""Dialect → the field's term."""


def complaints(text: str) -> list[str]:
    """Return what in *text* is not to be said so, and what to write."""
    found = []
    for words, better in {**BRITISH, **DIALECT}.items():
        pattern = rf"(?<![\w`,.])(?:{words})(?![\w`-])"
        found += [
            f"{match[0]!r} (write: {better}) in {text.strip()[:160]!r}"
            for match in re.finditer(pattern, text, re.IGNORECASE)
        ]
    return found


def speaks_of_earlier_version(body: list[ast.stmt], index: int) -> bool:
    """Return whether the statement has a docstring that says that it is of version 0.1.0."""
    after = body[index + 1] if index + 1 < len(body) else None
    return (
        isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
        and "0.1.0" in str(after.value.value)
    )


def sentences(path: Path) -> list[tuple[int, str]]:
    """Return line → text of the strings of a module: not docstrings, not words of version 0.1.0."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    if "0.1.0" in (ast.get_docstring(module) or ""):
        return []
    found = []
    for number, statement in enumerate(module.body):
        if speaks_of_earlier_version(module.body, number):
            continue
        documentation = {
            id(inner.value)
            for inner in ast.walk(statement)
            if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant)
        }
        for node in ast.walk(statement):
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
            if is_text and id(node) not in documentation and " " in node.value.strip():
                found += [(node.lineno, node.value)]
    return found


def modules() -> list[Path]:
    paths = [PACKAGE / room for room in ROOMS]
    return [
        module
        for path in paths
        for module in (sorted(path.rglob("*.py")) if path.is_dir() else [path])
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_no_string_that_can_reach_a_card_is_british_or_dialect(room):
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {complaint}"
        for path in modules()
        if path.is_relative_to(PACKAGE / room)
        for line, text in sentences(path)
        for complaint in complaints(text)
    ]

    assert not found, "\n" + "\n".join(found)


def without_a_persons_words(record: RunRecord) -> RunRecord:
    return record.model_copy(update={"facts": {}})


def sample_records() -> dict[str, RunRecord]:
    frozen = {path.parent.name: load(path) for path in RECORDS}
    made = {
        name: getattr(records, name)()
        for name in ("lora_on_cpu", "three_legs_on_gpus", "nothing_measured")
    }
    return {**frozen, **made}


@pytest.mark.parametrize("name", sorted(sample_records()))
def test_no_card_of_a_sample_record_is_british_or_dialect(name):
    record = without_a_persons_words(sample_records()[name])

    found = [
        f"{fact}: {complaint}"
        for fact, text in facts(record).items()
        for line in {*text.body().splitlines(), text.line}
        for complaint in complaints(line)
    ]

    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "is_bad"),
    [
        ("causal language modelling", True),
        ("causal language modeling", False),
        ("rank-stabilised", True),
        ("the weights were initialised", True),
        ("1 layers", True),
        ("11 layers", False),
        ("2.1 steps/s, 1 steps/s", False),
        ("an in-memory data set", True),
        ("12 optimizer steps in 2 legs", True),
        ("1.0 × 10^13", True),
        ("parallelism, analysis, supervised, revision", False),
        ("cut on the right", True),
    ],
)
def test_the_lists_catch_what_they_name_and_no_more(text, is_bad):
    assert bool(complaints(text)) == is_bad
