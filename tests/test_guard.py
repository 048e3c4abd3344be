"""The guard: whatever fails, hangs or exits becomes a reason."""

import importlib.util
import logging
import threading
import time

import pytest

from autocard import files, guard
from autocard.errors import UnavailableError


def budget(seconds=5.0):
    return guard.Budget(seconds, least_s=0.05)


def test_an_ordinary_absence_is_a_reason_and_not_a_report(no_hidden_failures):
    missing = {}

    with guard.guard("energy.gpu_kwh", missing):
        msg = "NVML: driver not loaded"
        raise UnavailableError(msg)

    assert missing == {"energy.gpu_kwh": "NVML: driver not loaded"}
    assert no_hidden_failures == []


@pytest.mark.expects_failure
def test_a_defect_is_reported_and_its_message_is_not_published(no_hidden_failures):
    missing = {}

    with guard.guard("model", missing):
        msg = "/home/alice/secret"
        raise ValueError(msg)

    assert "ValueError" in missing["model"]
    assert "alice" not in missing["model"]
    assert [fact for fact, _ in no_hidden_failures] == ["model"]


def test_the_host_s_interrupt_is_the_host_s():
    with pytest.raises(KeyboardInterrupt), guard.guard("model", {}):
        raise KeyboardInterrupt


def test_work_that_succeeds_returns_its_result_and_leaves_no_reason():
    missing = {}

    result = guard.guarded("model", missing, lambda: 41 + 1, budget())

    assert result == 42
    assert missing == {}


@pytest.mark.expects_failure
@pytest.mark.parametrize("failure", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), MemoryError()])
def test_work_that_raises_anything_at_all_does_not_reach_the_caller(failure):
    missing = {}

    def work():
        raise failure

    result = guard.guarded("model", missing, work, budget())

    assert result is None
    assert type(failure).__name__ in missing["model"]


@pytest.mark.expects_failure
def test_work_that_hangs_is_cut_off_at_the_deadline(no_hidden_failures):
    missing = {}
    never = threading.Event()
    begin = time.monotonic()

    result = guard.guarded("model", missing, never.wait, budget(0.2))

    assert time.monotonic() - begin < 5
    assert result is None
    assert "took longer than 0.2 s" in missing["model"]
    assert isinstance(no_hidden_failures[0][1], guard.DeadlineError)
    never.set()


@pytest.mark.expects_failure
def test_one_hanging_piece_leaves_the_others_little_time_but_some():
    shared = budget(0.2)
    never = threading.Event()

    guard.guarded("model", {}, never.wait, shared)
    second = guard.guarded("data", {}, lambda: "had", shared)

    assert second == "had"
    never.set()


@pytest.mark.expects_failure
def test_abandoned_work_that_wakes_up_later_writes_nothing(tmp_path):
    target = tmp_path / "README.md"
    target.write_text("a person's")
    go, over = threading.Event(), threading.Event()
    failure = []

    def work():
        go.wait()
        try:
            files.write_text(target, "ours, too late")
        except guard.AbandonedError as exc:
            failure.append(exc)
        finally:
            over.set()

    guard.guarded("card", {}, work, budget(0.1))
    go.set()
    assert over.wait(10)

    assert target.read_text() == "a person's"
    assert [type(exc) for exc in failure] == [guard.AbandonedError]
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_the_real_report_warns_once_for_each_fact(caplog):
    # The suite's fixture stands in for `report`: take it from a fresh copy of the module.
    spec = importlib.util.find_spec("autocard.guard")
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)

    with caplog.at_level(logging.WARNING, logger="autocard"):
        fresh.report("model", ValueError("no"))
        fresh.report("model", ValueError("no"))

    assert len(caplog.records) == 1
    assert "Training is not affected" in caplog.text
