"""What every test gets: no hidden failures, no settings of the machine, no network."""

from __future__ import annotations

import os

import pytest

import autocard.guard


@pytest.fixture(autouse=True)
def no_hidden_failures(request, monkeypatch):
    """What users never see, tests always see: whatever the guard swallowed fails the test."""
    caught: list[tuple[str, BaseException]] = []
    monkeypatch.setattr(autocard.guard, "report", lambda fact, exc: caught.append((fact, exc)))
    yield caught
    if caught and not request.node.get_closest_marker("expects_failure"):
        fact, exc = caught[0]
        msg = f"autocard swallowed a failure of {fact!r}: {exc!r}"
        raise AssertionError(msg) from exc


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path_factory):
    """No setting of the machine that runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith(("AUTOCARD_", "CODECARBON_", "SLURM_", "CUDA_VISIBLE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HOME", str(tmp_path_factory.getbasetemp()))
