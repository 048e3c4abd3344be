"""The record: what is written is read back, and what cannot be read is refused with file and leaf."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocard import record as parts
from autocard.errors import RecordError
from autocard.record import (
    MAX_BYTES,
    RunRecord,
    empty_leaves,
    from_json,
    load,
    to_json,
    unexplained,
)
from support import records


@pytest.mark.parametrize("story", records.ALL)
def test_a_record_written_and_read_is_the_same(story, tmp_path):
    record = records.ALL[story]()
    (tmp_path / "autocard.json").write_text(to_json(record), encoding="utf-8")

    assert load(tmp_path) == record
    assert load(tmp_path / "autocard.json") == record
    assert to_json(load(tmp_path)) == to_json(record)


@pytest.mark.parametrize("story", records.ALL)
def test_the_example_records_explain_what_is_not_there(story):
    assert unexplained(records.ALL[story]()) == []


def test_a_fact_without_a_reason_is_found():
    record = RunRecord(missing={"energy": "not measured", "time.gpu_s": "no GPU"})

    assert "energy.gpu_kwh" not in unexplained(record)
    assert "time.gpu_s" not in unexplained(record)
    assert "time.wall_clock_s" in unexplained(record)
    assert set(unexplained(record)) < set(empty_leaves(record))


def test_a_reason_is_that_of_the_nearest_part():
    record = RunRecord(missing={"legs.0": "lost", "legs.0.hosts.0.cpu_j": "no permission"})

    assert record.why_missing("legs.0.hosts.0.cpu_j") == "no permission"
    assert record.why_missing("legs.0.hosts.0.ram_j") == "lost"
    assert record.why_missing("legs.1") is None


def test_keys_of_a_newer_autocard_survive():
    raw = json.loads(to_json(records.lora_on_cpu()))
    raw["carbon_budget"] = {"g": 5}
    raw["model"]["colour"] = "blue"
    raw["legs"][0]["hosts"][0]["fans_j"] = 1.5

    again = json.loads(to_json(from_json(json.dumps(raw))))

    assert again == raw


@given(
    st.dictionaries(st.text(), st.text() | st.integers() | st.floats(allow_nan=False) | st.none())
)
def test_any_facts_of_a_person_survive(facts):
    facts = {
        key: value for key, value in facts.items() if value not in (float("inf"), -float("inf"))
    }
    record = RunRecord(facts=facts)

    assert from_json(to_json(record)).facts == facts


def test_a_record_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        RunRecord().run.id = "x"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "R.json: line 1: this is not JSON"),
        ('{"schema_version": 1,\n "run": {', "R.json: line 2: this is not JSON"),
        ("[" * 100_000, "R.json: somewhere: this is not JSON"),
        ("[1]", "R.json: a record is a JSON object, this is a list"),
        ("{}", "R.json: schema_version: missing"),
        ('{"schema_version": true}', "R.json: schema_version: missing, or not a whole number"),
        ('{"schema_version": 2}', "R.json: schema_version: 2 is newer than 1"),
        ('{"schema_version": 1, "time": {"gpu_s": "long"}}', "R.json: time.gpu_s: "),
        ('{"schema_version": 1, "time": {"gpu_s": NaN}}', "R.json: somewhere: this is not JSON"),
        ('{"schema_version": 1, "time": {"gpu_s": 1e999}}', "R.json: somewhere: this is not JSON"),
        ('{"schema_version": 1, "model": {"saved_bytes": ' + "1" * 5000 + "}}", "R.json: model.saved_bytes: a"),
        ('{"schema_version": 1, "legs": [{"id": "a", "hosts": [{"host": 3}]}]}', "R.json: legs.0.hosts.0.host: "),
        ('{"schema_version": 1, "precision": {"regime": "int8"}}', "R.json: precision.regime: "),
    ],
    ids=[
        "empty", "cut-short", "deep", "list", "no-version", "odd-version", "newer", "wrong-type", "nan", "infinite",
        "huge-number", "deep-leaf", "no-term",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_file_and_leaf(text, says):
    with pytest.raises(RecordError) as refused:
        from_json(text, "R.json")

    assert says in str(refused.value)
    assert "not read" in str(refused.value) or "not a record" in str(refused.value)


def test_a_newer_schema_says_how_to_go_on():
    with pytest.raises(RecordError, match="pip install --upgrade autocard"):
        from_json('{"schema_version": 2}')


def test_a_file_that_is_too_large_is_refused_unread(tmp_path):
    with (tmp_path / "autocard.json").open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)

    with pytest.raises(RecordError, match="larger than"):
        load(tmp_path)


def test_a_folder_without_a_record_says_what_to_do(tmp_path):
    with pytest.raises(RecordError, match=r"there is no such record.*--record"):
        load(tmp_path)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "autocard.json").write_bytes(b"\xff\xfe{}")

    with pytest.raises(RecordError, match="cannot be read"):
        load(tmp_path)


def test_figures_that_json_does_not_have_become_reasons():
    record = RunRecord(
        time=parts.Time(flops=float("nan"), gpu_s=1.0),
        evaluation=parts.Evaluation(
            results=[
                parts.Metric(name="loss", value=float("nan")),
                parts.Metric(name="accuracy", value=0.5),
            ],
            train_loss=float("inf"),
            history=[{"loss": float("nan"), "step": 10}],
        ),
    )

    again = from_json(to_json(record))

    assert again.time.flops is None
    assert again.time.gpu_s == 1.0
    assert [one.name for one in again.evaluation.results] == ["accuracy"]
    assert again.evaluation.history == [{"step": 10}]
    assert again.missing["time.flops"] == "the figure was nan, which is none"
    assert again.missing["evaluation.train_loss"] == "the figure was inf, which is none"
