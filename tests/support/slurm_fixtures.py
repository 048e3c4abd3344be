"""The fixture that gives tests a real Slurm: `pytest_plugins = ["support.nvml_fixtures", "support.slurm_fixtures"]`."""

from __future__ import annotations

import os

import pytest

from support.nvml_stand_in import make_machine
from support.slurm_cluster import SlurmCluster, why_not


@pytest.fixture(scope="session")
def slurm(request, tmp_path_factory):
    """A Slurm of two nodes with accounting, power meters and a GPU each.

    Skips where none can be started; fails there if `EXPECT_SLURM` is set.
    """
    folder = tmp_path_factory.mktemp("slurm")
    reason = why_not(folder)
    if reason and os.environ.get("EXPECT_SLURM"):
        pytest.fail(f"EXPECT_SLURM is set, and there can be no Slurm: {reason}")
    if reason:
        pytest.skip(f"a real Slurm: {reason}")
    (folder / "nvml").mkdir()
    # Without a GPU here: each node has a file of its own in the place of this machine's gpus.conf.
    machine = make_machine(request.getfixturevalue("nvml_library"), folder / "nvml", [])
    cluster = SlurmCluster(machine)
    yield cluster
    cluster.close()
