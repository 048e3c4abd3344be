"""Fixtures of every test: no hidden failure, no false field, no setting of the machine, no network."""

from __future__ import annotations

import os
import tempfile

import pytest

import autocard.energy.meter
import autocard.guard
import truth
from support import rendering

# One thread for each process: the suite runs several at once, and threads that wait for each
# other's core crawl.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Before huggingface_hub is imported, which reads it once: models by a name that is nowhere are not
# looked for for long.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

WATCH = truth.Watch()
FINDINGS = pytest.StashKey()
TOTALS = {"looks": 0, "fields": 0, "false": 0, "oracles_s": 0.0}
"""Of all processes that ran tests."""


def totals_of(config):
    """Return the counts of the oracles in this process and in those that it started."""
    other = config.stash.get(FINDINGS, truth.Findings(None))
    return {
        "looks": WATCH.runs + other.runs,
        "fields": WATCH.fields + other.fields,
        "false": len(WATCH.all_false) + len(other.false),
        "oracles_s": WATCH.spent_s + other.spent_s,
    }


def add(told):
    for name, number in told.items():
        TOTALS[name] += number


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["truth"] = totals_of(session.config)
    else:
        add(totals_of(session.config))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    add(getattr(node, "workeroutput", {}).get("truth", {}))


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(
        f"oracles: {TOTALS['looks']:,} looks at trainings, {TOTALS['fields']:,} fields judged, "
        f"{TOTALS['false']:,} false (planted ones included), in {TOTALS['oracles_s']:.1f} s"
    )


@pytest.fixture(scope="session", autouse=True)
def swallowed():
    """The exceptions that the guard swallowed since the last test, those in wider fixtures included."""
    caught: list[tuple[str, BaseException]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autocard.guard, "report", lambda fact, exc: caught.append((fact, exc)))
        yield caught


@pytest.fixture(autouse=True)
def no_hidden_failures(request, swallowed):
    """Fail the test for an exception that the guard swallowed: users never see it, tests always do."""
    yield swallowed
    caught = list(swallowed)
    swallowed.clear()
    if caught and not request.node.get_closest_marker("expects_failure"):
        fact, exc = caught[0]
        msg = f"autocard swallowed a failure of {fact!r}: {exc!r}"
        raise AssertionError(msg) from exc


@pytest.fixture(scope="session", autouse=True)
def patient():
    """Wait longer for the worker's last reading: the machine is busy with other tests. See test_short_runs.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autocard.energy.meter, "ANSWER_S", 30.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def watched():
    """Compare record and card with the training, at the end of each training of this process."""
    WATCH.install()
    return WATCH


@pytest.fixture(scope="session", autouse=True)
def findings(request, tmp_path_factory):
    """The false statements that processes started by tests found in their own trainings."""
    read = truth.Findings(tmp_path_factory.mktemp("findings"))
    request.config.stash[FINDINGS] = read
    with pytest.MonkeyPatch.context() as patch:  # for fixtures wider than a test, too
        for name, value in truth.environment(read.folder, os.environ.get("PYTHONPATH", "")).items():
            patch.setenv(name, value)
        yield read


@pytest.fixture(autouse=True)
def no_false_field(request, watched, findings):
    """Fail the test for each false statement in a record or card, of this process or of one that it started."""
    watched.install()  # where the callback has been imported since
    yield watched
    false = [*watched.false, *(one for one in findings.look() if not one.startswith(truth.PENDING))]
    watched.false.clear()
    if false and not request.node.get_closest_marker("expects_falsehood"):
        msg = "record or card say what is not so: " + "; ".join(false)
        raise AssertionError(msg)


@pytest.fixture(scope="session", autouse=True)
def rendered():
    """Check how each card that this process writes is rendered."""
    watch = rendering.Watch()
    with pytest.MonkeyPatch.context() as patch:
        watch.install(patch)
        yield watch


@pytest.fixture(autouse=True)
def no_broken_card(rendered):
    """Fail the test for a card, written here or in a wider fixture, that is not rendered as intended."""
    yield rendered
    broken = list(rendered.broken)
    rendered.broken.clear()
    if broken:
        msg = "a card is not shown as it was meant: " + "; ".join(broken)
        raise AssertionError(msg)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path_factory):
    """No setting of the machine that runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith(("ACCELERATE_", "AUTOCARD_", "CODECARBON_", "SLURM_", "CUDA_VISIBLE")):
            monkeypatch.delenv(name)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.getbasetemp()))
    monkeypatch.setenv("HOME", str(tmp_path_factory.getbasetemp()))
