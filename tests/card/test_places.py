"""Equal texts in several slots: each fact keeps its own slot over refreshes, edits, moves and copies."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autocard import AutoCardCallback
from autocard.card.fact import Fact
from autocard.card.fill.fill import fill
from support import training

LONG = "A data set of a class of its own (DS), 12 rows"
VALUES = [LONG, "12 h", "1", "not known, because nobody measured it"]
NAMES = [
    "training_data",
    "testing_data",
    "results",
    "model_specs",
    "software",
    "hardware_requirements",
    "hours_used",
    "hardware_type",
    "co2_emitted",
    "cloud_region",
    "training_regime",
    "speeds_sizes_times",
]


@st.composite
def forms(draw):
    """A user's own form: (style, heading or label, fact) of each slot, in order."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=7, unique=True))
    styles = draw(
        st.lists(
            st.sampled_from(["body", "line", "cell"]), min_size=len(names), max_size=len(names)
        )
    )
    return [
        (style, f"Place {number}", name)
        for number, (style, name) in enumerate(zip(styles, names, strict=True))
    ]


def written(form):
    """Return the card that *form* is: sections first, then one list and one table."""
    bodies = [f"## {where}\n\n{{{{ {name} }}}}\n" for style, where, name in form if style == "body"]
    lines = [f"- **{where}:** {{{{ {name} }}}}" for style, where, name in form if style == "line"]
    cells = [f"| {where} | {{{{ {name} }}}} |" for style, where, name in form if style == "cell"]
    parts = ["# A\n", *bodies]
    if lines:
        parts.append("## A list\n\n" + "\n".join(lines) + "\n")
    if cells:
        parts.append("## A table\n\n| What | Value |\n|---|---|\n" + "\n".join(cells) + "\n")
    return "\n".join(parts)


def sections(card):
    """Return the card's sections of level 2, and what stands before them."""
    return re.split(r"(?m)^(?=## )", card)


def value(card, style, where):
    """Return what stands in one slot of *card*."""
    if style == "line":
        return re.search(rf"(?m)^- \*\*{where}:\*\* (.*)$", card)[1]
    if style == "cell":
        return re.search(rf"(?m)^\| {where} \| (.*) \|$", card)[1]
    (body,) = [part for part in sections(card) if part.startswith(f"## {where}\n")]
    return body.partition("\n")[2].strip()


@st.composite
def changes(draw, form):
    """What a person does to the card before one fill."""
    bodies = [where for style, where, _ in form if style == "body"]
    kinds = ["nothing", "edit"] + (["move", "copy", "words"] if bodies else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "nothing":
        return kind, None
    if kind == "edit":
        return kind, draw(st.sampled_from(form))
    return kind, draw(st.sampled_from(bodies))


def edited(card, style, where, mine):
    """Return *card* with a person's words *mine* in one slot."""
    if style == "line":
        return re.sub(rf"(?m)^(- \*\*{where}:\*\*) .*$", rf"\1 {mine}", card)
    if style == "cell":
        return re.sub(rf"(?m)^(\| {where} \|) .* \|$", rf"\1 {mine} |", card)
    parts = [
        f"## {where}\n\n{mine}\n\n" if part.startswith(f"## {where}\n") else part
        for part in sections(card)
    ]
    return "".join(parts)


def changed(card, change, number):
    """Return *card* after a person's *change*."""
    kind, what = change
    if kind == "nothing":
        return card
    if kind == "edit":
        return edited(card, *what[:2], f"edited by hand {number}")
    parts = sections(card)
    (section,) = [part for part in parts if part.startswith(f"## {what}\n")]
    if kind == "move":
        parts.remove(section)
        return "".join([*parts, "\n", section])
    if kind == "copy":
        copied = section.replace(f"## {what}\n", f"## Copy {number} of it\n")
        return "".join([parts[0], copied, *parts[1:]])
    at = parts.index(section)
    parts[at] = section.rstrip("\n") + f"\n\nwords {number}\n\n"
    return "".join(parts)


@settings(
    max_examples=80,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.data())
def test_each_fact_ends_in_its_own_slot_whatever_else_has_the_same_text(data):
    form = data.draw(forms())
    card, slots = written(form), {}
    by_hand = set()
    copies = {}
    words = {}
    for number in range(data.draw(st.integers(2, 5))):
        if number:
            change = data.draw(changes(form))
            kind, what = change
            card = changed(card, change, number)
            if kind == "edit":
                by_hand.add(what[1])
                words.pop(what[1], None)
            elif kind == "copy":
                copies[f"Copy {number} of it"] = value(card, "body", f"Copy {number} of it")
            elif kind == "words":
                words.setdefault(what, []).append(f"words {number}")
        facts = {name: Fact(data.draw(st.sampled_from(VALUES))) for _, _, name in form}

        filled = fill(card, facts, {}, remembered=slots)
        again = fill(filled.text, facts, {}, remembered=filled.slots)

        assert (again.text, again.slots) == (filled.text, filled.slots)
        card, slots = filled.text, filled.slots
        for style, where, name in form:
            there = value(card, style, where)
            if where in by_hand:
                assert there.startswith("edited by hand"), (where, card)
            else:
                said, *more = [part for part in there.split("\n") if part]
                assert said == facts[name].line, (where, name, card)
                assert more == words.get(where, []), (where, card)
        for where, text in copies.items():
            assert value(card, "body", where) == text


def of(train, test):
    return {"training_data": Fact(train), "testing_data": Fact(test)}


def below(card, heading):
    """Return the first line below *heading* that is no comment."""
    return re.search(rf"(?m)^#+ {heading}\n+(?:<!--.*-->\n+)*(.*)$", card)[1]


def without_places(slots):
    """Return *slots* as earlier versions remembered them."""
    return {name: text for name, text in slots.items() if not name.startswith("place:")}


@pytest.mark.parametrize("remembered", [dict, without_places])
def test_a_memory_without_places_is_read_by_headings(remembered):
    first = fill("# A\n", of(LONG, LONG), {}, remembered={})

    second = fill(
        first.text, of(LONG, "15 rows of another one"), {}, remembered=remembered(first.slots)
    )
    third = fill(second.text, of("8 rows", "12 rows"), {}, remembered=remembered(second.slots))

    assert below(second.text, "Training Data") == LONG
    assert below(second.text, "Testing Data") == "15 rows of another one"
    assert below(third.text, "Training Data") == "8 rows"
    assert below(third.text, "Testing Data") == "12 rows"


def test_a_section_that_a_person_took_out_does_not_come_back_in_the_others_place():
    first = fill("# A\n", of(LONG, LONG), {}, remembered={})
    cut = first.text.replace(f"## Training Details\n\n### Training Data\n\n{LONG}\n\n", "")
    assert cut != first.text

    second = fill(cut, of("8 rows", "12 rows"), {}, remembered=first.slots)

    assert below(second.text, "Testing Data") == "12 rows"
    assert "8 rows" not in second.text


def test_a_text_below_a_heading_that_a_person_renamed_is_found():
    first = fill("# A\n", of(LONG, LONG), {}, remembered={})
    renamed = first.text.replace("### Training Data", "### What it has seen")

    second = fill(renamed, of("8 rows", "12 rows"), {}, remembered=first.slots)

    assert below(second.text, "What it has seen") == "8 rows"
    assert below(second.text, "Testing Data") == "12 rows"


def test_equal_texts_that_nothing_tells_apart_are_left_alone():
    card = "# A\n\n## One\n\n{{ training_data }}\n\n## Other\n\n{{ testing_data }}\n"
    first = fill(card, of(LONG, LONG), {}, remembered={})
    renamed = first.text.replace("## One", "## First").replace("## Other", "## Second")

    second = fill(renamed, of("8 rows", "12 rows"), {}, remembered=first.slots)

    assert below(second.text, "First") == LONG
    assert below(second.text, "Second") == LONG


def test_one_of_two_sections_with_the_same_heading_that_goes_takes_its_fact_with_it():
    card = "# A\n\n## Data\n\n{{ training_data }}\n\n## Data\n\n{{ testing_data }}\n"
    first = fill(card, of(LONG, LONG), {}, remembered={})
    refreshed = fill(first.text, of("8 rows", "12 rows"), {}, remembered=first.slots)
    cut = first.text.replace(f"## Data\n\n{LONG}\n\n", "", 1)

    second = fill(cut, of("8 rows", "12 rows"), {}, remembered=first.slots)

    assert refreshed.text == "# A\n\n## Data\n\n8 rows\n\n## Data\n\n12 rows\n"
    assert second.text == cut


def test_a_fact_with_another_facts_text_gets_its_own_place():
    first = fill(
        "# A\n\n## Testing Data\n\n[More Information Needed]\n",
        {"testing_data": Fact(LONG)},
        {},
        remembered={},
    )

    second = fill(first.text, of(LONG, LONG), {}, remembered=first.slots)
    third = fill(second.text, of("8 rows", "12 rows"), {}, remembered=second.slots)

    assert below(second.text, "Training Data") == LONG
    assert below(third.text, "Training Data") == "8 rows"
    assert below(third.text, "Testing Data") == "12 rows"


def test_energy_is_added_though_a_table_elsewhere_begins_as_ours():
    table = "| Part | kWh |\n| --- | ---: |\n| {} | 1 |"
    card = f"# A\n\n## Other models\n\n{table.format('theirs')}\n\n## Environmental Impact\n\nLittle.\n"

    filled = fill(card, {"energy": Fact("1 kWh", table.format("ours"))}, {}, remembered={})

    assert filled.text == card + f"\n{table.format('ours')}\n"


def test_a_heading_of_ours_goes_though_a_person_has_one_that_reads_the_same():
    table = "| Metric | Value |\n| --- | ---: |\n| ours | 1 |"
    card = "# A\n\n## Model B\n\n### Metrics\n\nMine.\n\n## Uses\n\nMany.\n"
    facts = {"results": Fact("acc 1", table)}
    first = fill(card, facts, {}, remembered={})

    second = fill(first.text, {}, {}, remembered=first.slots)

    assert table in first.text
    assert second.text == card


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nosuchfact", "A paragraph that a person wrote."),
        ("zzz", "A paragraph that a person wrote."),
        ("results", "## Words\n\nA paragraph that a person wrote."),
        ("results", "Words\n-----\n\nA paragraph that a person wrote."),
        ("hidden:zzz", "A paragraph that a person wrote."),
    ],
)
def test_a_memory_cannot_claim_what_autocard_never_writes(name, text):
    card = f"# A\n\n{text}\n\n## More\n\nwords\n"

    filled = fill(card, {}, {}, remembered={name: text})

    assert filled.text == card


@pytest.mark.parametrize(
    "place", ["", "[]", "x", "[1, 2, 3, 4, 5, 6]", '[["a"], 0, 1, 2, 0, 1]', "[" * 5000, "null"]
)
def test_a_place_that_cannot_be_read_is_no_place(place):
    first = fill("# A\n", of(LONG, LONG), {}, remembered={})
    slots = {
        name: place if name.startswith("place:") else text for name, text in first.slots.items()
    }

    second = fill(first.text, of("8 rows", "12 rows"), {}, remembered=slots)

    assert below(second.text, "Training Data") == "8 rows"
    assert below(second.text, "Testing Data") == "12 rows"


class Rows:
    """A data set of a class of its own."""

    def __init__(self, count):
        self._rows = training.rows(count)

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, index):
        return self._rows[index]


def stream(count):
    import datasets

    return datasets.IterableDataset.from_generator(lambda: iter(training.rows(count)))


@pytest.mark.parametrize("data", [training.dataset, Rows, stream])
def test_evaluations_of_other_data_never_change_what_was_trained_on(tmp_path, data):
    train = data(12)
    trainer = training.trainer(
        tmp_path, callbacks=[AutoCardCallback(emissions=False)], max_steps=2, train=train
    )
    trainer.train()
    card = tmp_path / "README.md"
    first = below(card.read_text(), "Training Data")
    tested = []

    for part in (train, training.dataset(5), train, training.dataset(3)):
        trainer.evaluate(part)

        tested.append(below(card.read_text(), "Testing Data"))
        assert below(card.read_text(), "Training Data") == first

    assert "5 rows" in tested[1]
    assert tested[2] == tested[0] != tested[1]
    assert "3 rows" in tested[3]
    record = json.loads((tmp_path / "autocard.json").read_text())
    assert record["slots"]["README.md"]["training_data"].startswith(first)


def test_a_second_and_third_run_in_one_folder_keep_training_and_testing_data_apart(tmp_path):
    card = tmp_path / "README.md"
    for train, test in ((8, 8), (12, 8), (4, 4), (4, 6)):
        callback = AutoCardCallback(emissions=False)
        trainer = training.trainer(
            tmp_path, callbacks=[callback], max_steps=2, train=training.dataset(train)
        )
        trainer.train()
        trainer.evaluate(training.dataset(test))

        assert f"{train} rows" in below(card.read_text(), "Training Data")
        assert f"{test} rows" in below(card.read_text(), "Testing Data")
