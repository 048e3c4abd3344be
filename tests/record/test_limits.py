"""No figure that cannot be gets into a record, and none is read out of one."""

from __future__ import annotations

import inspect
import json
import math
import typing

import pytest
from pydantic import BaseModel

from autocard import AutoCardCallback, record
from autocard.errors import RecordError
from autocard.record import RunRecord, from_json, limits, load, to_json, unexplained
from autocard.record.gaps import Part
from autocard.runtime.assemble import RecordDraft, build_record
from autocard.settings import Settings
from support import records, training

MAY_BE_NEGATIVE = {"value", "train_loss", "seed", "unmetered_kwh"}


def figures():
    """Yield (part, leaf) of each number of the record."""
    for name, part in inspect.getmembers(record, inspect.isclass):
        if not issubclass(part, BaseModel) or not part.__module__.startswith(record.__name__):
            continue
        for leaf, field in part.model_fields.items():
            kinds = {field.annotation, *typing.get_args(field.annotation)}
            if (
                kinds & {int, float}
                and not kinds & {bool, str}
                and typing.get_origin(field.annotation) not in (list, dict)
            ):
                yield pytest.param(part, leaf, id=f"{name}.{leaf}")


def made(part, **leaves):
    required = {
        "device": "h1.g0",
        "host": "h1",
        "id": "a",
        "name": "x",
        "kind": "meter",
        "source": "x",
    }
    numbers = {"step": 1, "wall_clock_s": 1.0, "energy_j": 1.0, "count": 1, "value": 1.0}
    needed = [name for name, field in part.model_fields.items() if field.is_required()]
    return part(**{name: {**required, **numbers}[name] for name in needed}).model_copy(
        update=leaves
    )


@pytest.mark.parametrize(("part", "leaf"), list(figures()))
def test_each_figure_below_zero_is_found_where_it_cannot_be(part, leaf):
    below = made(part, **{leaf: -3})

    found = [one.path for one in limits.impossible(below)]

    assert (leaf in found) == (leaf not in MAY_BE_NEGATIVE)
    if found:
        assert leaf in limits.without_impossible(below)[1]


@pytest.mark.parametrize("story", records.ALL)
def test_the_example_records_are_possible(story):
    assert list(limits.impossible(records.ALL[story]())) == []


FAULTS = {
    "time.samples_per_s": -5.93,
    "time.eval_s": 1e9,
    "time.allocated_gpu_s": 1.0,
    "time.repeated_s": 1e9,
    "time.peak_share": 1.5,
    "run.epochs": -1.0,
    "run.global_step": -4,
    "model.parameters_trainable": 10**15,
    "legs.1.step_end": 0,
    "legs.0.hosts.0.cpu_share": 1.2,
    "legs.0.hosts.0.cpu_j": -1.0,
    "legs.0.repeated_s": 1e9,
    "energy.gpu_kwh": 1e9,
    "energy.facility_kwh": 1e-9,
    "hardware.ram_bytes": -1,
    "hardware.peak_memory_bytes": {"h1.g0": -1},
    "data.train.0.rows": -7,
    "model.dims": {"layers": -2},
}


def with_leaf(raw, path, value):
    part = raw
    *way, leaf = path.split(".")
    for key in way:
        part = part[int(key)] if key.isdigit() else part[key]
    part[leaf] = value
    return raw


@pytest.mark.parametrize("path", FAULTS)
def test_a_record_with_a_figure_that_cannot_be_is_refused_with_its_leaf(path):
    raw = with_leaf(json.loads(to_json(records.three_legs_on_gpus())), path, FAULTS[path])
    assert from_json(
        json.dumps(with_leaf(json.loads(json.dumps(raw)), "schema_version", 1)), check_figures=False
    )

    with pytest.raises(
        RecordError, match=path.replace(".", r"\.").replace("facility", "(facility|total)")
    ):
        from_json(json.dumps(raw))


@pytest.mark.expects_failure
@pytest.mark.parametrize("path", ["time.samples_per_s", "time.eval_s", "time.flops"])
def test_a_figure_that_cannot_be_becomes_a_gap_and_the_record_is_kept(path, swallowed):
    value = {"time.eval_s": 1e9, "time.flops": math.inf}.get(path, -5.93)
    story = records.lora_on_cpu()

    frozen = build_record(
        RecordDraft(
            Settings(),
            story.run,
            [Part(leg) for leg in story.legs],
            {},
            {},
            times={path.removeprefix("time."): value, "steps_per_s": 2.0},
        )
    )

    assert frozen.time.steps_per_s == 2.0
    assert getattr(frozen.time, path.removeprefix("time.")) is None
    assert "the figure was" in frozen.why_missing(path)
    assert unexplained(frozen) == []
    assert from_json(to_json(frozen)) == frozen
    assert path in [fact for fact, _ in swallowed]


@pytest.mark.expects_failure
def test_a_leg_with_negative_energy_is_in_no_sum(swallowed):
    story = records.lora_on_cpu()
    (leg,) = story.legs
    hosts = [leg.hosts[0].model_copy(update={"cpu_j": -3600.0})]

    frozen = build_record(
        RecordDraft(Settings(), story.run, [Part(leg.model_copy(update={"hosts": hosts}))], {}, {})
    )

    assert frozen.energy.total_kwh is None
    assert frozen.energy.cpu_kwh is None
    assert "below zero" in frozen.why_missing("legs.0.hosts.0.cpu_j")
    assert swallowed


def test_an_item_of_a_list_that_cannot_be_goes_and_the_others_stay():
    points = [
        record.Checkpoint(step=step, wall_clock_s=1.0, energy_j=1.0) for step in (1, -2, 3, -4, 5)
    ]
    leg = record.Leg(id="a", step_begin=0, step_end=9, checkpoints=points)

    found, missing = limits.without_impossible(RunRecord(legs=[leg]))

    assert [point.step for point in found.legs[0].checkpoints] == [1, 3, 5]
    assert list(missing) == ["legs.0.checkpoints"]


def test_what_was_written_before_is_known_though_a_figure_of_the_old_record_cannot_be(tmp_path):
    """The texts that we wrote into a card are refreshed, and do not pass for a person's."""
    trainer = training.trainer(tmp_path, callbacks=[AutoCardCallback(emissions=False)], max_steps=2)
    trainer.train()
    path = tmp_path / "autocard.json"
    path.write_text(
        json.dumps(with_leaf(json.loads(path.read_text()), "time.samples_per_s", -5.93))
    )
    with pytest.raises(RecordError, match="samples_per_s"):
        load(tmp_path)

    training.trainer(tmp_path, callbacks=[AutoCardCallback(emissions=False)], max_steps=3).train()

    assert load(tmp_path).run.global_step == 3
    assert "Training length: 3 optimizer steps" in (tmp_path / "README.md").read_text()
