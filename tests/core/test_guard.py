"""The guard: whatever fails, hangs or exits becomes a reason."""

import ctypes
import functools
import importlib.util
import logging
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from autocard import AutoCardCallback, files, guard
from autocard.errors import UnavailableError
from support import training


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
@pytest.mark.parametrize(
    "failure", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), MemoryError()]
)
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
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_work_whose_thread_dies_before_it_begins_is_not_waited_for(no_hidden_failures):
    missing = {}

    def trace(*_):
        raise OSError

    threading.settrace(trace)
    begin = time.monotonic()
    try:
        for number in range(10):
            guard.guarded(f"model.{number}", missing, lambda: 1, budget(20.0))
    finally:
        threading.settrace(None)

    assert time.monotonic() - begin < 10
    assert len(missing) == 10
    assert {type(exc) for _, exc in no_hidden_failures} == {guard.ThreadEndedError}


@pytest.mark.expects_failure
def test_however_many_pieces_hang_an_event_costs_little_more_than_its_time():
    shared = guard.Budget(0.2, least_s=0.1)
    never = threading.Event()
    begin = time.monotonic()

    for number in range(100):
        guard.guarded(f"model.{number}", {}, never.wait, shared)
    took_s = time.monotonic() - begin
    last = guard.guarded("data", {}, lambda: "had", guard.Budget(0.0, least_s=0.5))

    assert took_s < 0.2 + 10 * 0.1 + 100 * 0.01 + 3.0
    assert last == "had"
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


def fresh_guard():
    """Return a fresh copy of the module: the suite's fixture stands in for `report`."""
    spec = importlib.util.find_spec("autocard.guard")
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    return fresh


def test_the_real_report_warns_once_for_each_fact(caplog):
    fresh = fresh_guard()

    with caplog.at_level(logging.WARNING, logger="autocard"):
        fresh.report("model", ValueError("no"))
        fresh.report("model", ValueError("no"))

    assert len(caplog.records) == 1
    assert "Training is not affected" in caplog.text


def test_a_failure_is_logged_in_the_words_of_a_user_and_not_by_the_name_of_the_work(caplog):
    fresh = fresh_guard()
    fresh.name_work({"_past": "read the earlier starts of this run"})

    with caplog.at_level(logging.WARNING, logger="autocard"):
        fresh.report("_past", PermissionError(13, "Permission denied", "/root/x"))

    (said,) = caplog.messages
    assert said == (
        "autocard: could not read the earlier starts of this run (Permission denied: /root/x). "
        "Training is not affected."
    )


# -- exceptions of the program ---------------------------------------------------------------------


class Preempted(Exception):  # noqa: N818 - as people name theirs
    """What a program raises to stop its training."""


def raises(*_):
    raise Preempted


class Notice:
    """A handler that is an object, as schedulers' libraries have them."""

    def __call__(self, number, frame):
        self.seen = frame
        raise_it()


def raise_it():
    raise Preempted


HANDLERS = {
    "function": raises,
    "lambda": lambda number, frame: raise_it(),  # noqa: ARG005
    "object": Notice(),
    "partial": functools.partial(lambda why, number, frame: raise_it(), "why"),  # noqa: ARG005
    "method": Notice().__call__,
}


@pytest.fixture(params=HANDLERS)
def handled(request):
    """A signal handler of the program's that raises."""
    before = signal.signal(signal.SIGUSR1, HANDLERS[request.param])
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("handled")
def test_what_a_signal_handler_of_the_program_raises_while_it_waits_for_us_leaves():
    def work():
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.5)

    with pytest.raises(Preempted), guard.guard("model", {}):
        guard.guarded("model", {}, work, budget())


@pytest.mark.usefixtures("handled")
def test_what_a_signal_handler_of_the_program_raises_in_our_own_code_leaves():
    missing = {}

    with pytest.raises(Preempted), guard.guard("model", missing):
        signal.raise_signal(signal.SIGUSR1)

    assert missing == {}


def test_what_another_thread_of_the_program_raises_in_the_one_that_waits_leaves():
    waiting, over = threading.get_ident(), threading.Event()

    def work():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(waiting), ctypes.py_object(Preempted)
        )
        over.wait(0.2)

    with pytest.raises(Preempted), guard.guard("model", {}):
        guard.guarded("model", {}, work, budget())


@pytest.mark.expects_failure
def test_the_same_exception_is_a_failure_where_no_signal_raised_it():
    missing = {}

    with guard.guard("model", missing):
        raise_it()

    assert "Preempted" in missing["model"]


@pytest.mark.parametrize("event", ["begin", "step", "end"])
def test_a_training_is_left_by_what_a_signal_handler_of_the_program_raises(
    event, tmp_path, monkeypatch
):
    """The signal comes while autocard works: at the first look at the data, at a step, at the end."""
    before = signal.signal(signal.SIGUSR1, raises)
    sent = []

    def send(*_):
        if not sent:
            sent.append(event)
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.3)

    class Rows(list):
        def __len__(self):
            if event == "begin" and threading.current_thread().name.startswith("autocard"):
                send()
            return super().__len__()

    callback = AutoCardCallback(emissions=False)
    trainer = training.trainer(
        tmp_path, callbacks=[callback], train=Rows(training.rows(16)), max_steps=3
    )
    session = next(iter(callback._sessions._all.values()))[1]
    if event == "step":
        monkeypatch.setattr(type(session), "stepped", lambda *_: send())
    elif event == "end":
        monkeypatch.setattr(type(session.run.card_guard), "write", lambda *_: send())

    try:
        with pytest.raises(Preempted):
            trainer.train()
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert sent == [event]


# -- log handlers of the program -------------------------------------------------------------------


MINE = "---\nlicense: mit\n---\n\n# Mine\n\nA fence that is never closed:\n\n```python\nprint(1)\n"
"""A card that autocard leaves alone, with a warning."""


class Strict(logging.Handler):
    """Takes no warnings, as people have it in continuous integration."""

    def __init__(self, failure):
        super().__init__()
        self.failure = failure

    def emit(self, record):
        if record.levelno >= logging.WARNING:
            raise self.failure


class Picky(logging.Filter):
    """Fails at each record."""

    def filter(self, record):
        raise RuntimeError(record.msg)


@pytest.mark.parametrize("failure", [RuntimeError("no warnings"), SystemExit(3)])
@pytest.mark.parametrize("logger", ["", "autocard"])
def test_a_log_handler_of_the_program_that_raises_leaves_training_and_saving_as_they_are(
    logger, failure, tmp_path, monkeypatch
):
    class Rows(list):
        def __len__(self):
            if threading.current_thread().name.startswith("autocard"):
                raise KeyError
            return super().__len__()

    monkeypatch.setattr(guard, "report", fresh_guard().report)
    (tmp_path / "README.md").write_text(MINE)
    handler = Strict(failure)
    logging.getLogger(logger).addHandler(handler)
    try:
        trainer = training.trainer(
            tmp_path,
            model=training.bert(),
            callbacks=[AutoCardCallback(emissions=False)],
            train=Rows(training.rows(16)),
            max_steps=2,
        )
        trainer.train()
        trainer.save_model()
        trainer.evaluate(training.dataset(8))
        trainer.create_model_card(finetuned_from="/no/id", tasks="no-task")
    finally:
        logging.getLogger(logger).removeHandler(handler)

    assert trainer.state.global_step == 2
    assert (tmp_path / "model.safetensors").exists()
    assert (tmp_path / "README.md").read_text() == MINE


def test_a_filter_of_the_program_that_raises_keeps_no_reason_from_being_noted(monkeypatch):
    monkeypatch.setattr(guard, "report", fresh_guard().report)
    missing, logger, picky = {}, logging.getLogger("autocard"), Picky()
    logger.addFilter(picky)
    try:
        guard.guarded("model", missing, lambda: 1 / 0, budget())
        guard.guarded("model", missing, lambda: 1 / 0, budget())
    finally:
        logger.removeFilter(picky)

    assert "ZeroDivisionError" in missing["model"]


def test_only_the_guard_talks_to_the_log():
    """Each other call could raise into the training: the program's handlers and filters may."""
    package = Path(guard.__file__).parent
    calls = re.compile(r"\b(?:logger|logging)\.(?:debug|info|warning|error|exception|log)\(")

    found = [path.name for path in package.rglob("*.py") if calls.search(path.read_text())]

    assert found == ["guard.py"]
