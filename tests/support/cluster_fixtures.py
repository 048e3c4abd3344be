"""The fixture that gives tests a cluster: ask for it with `pytest_plugins = ["support.nvml_fixtures", "support.cluster_fixtures"]`."""

from __future__ import annotations

import pytest

from support.cluster_rig import Rig
from support.nvml_stand_in import make_machine


@pytest.fixture(scope="session")
def rig(nvml_library, tmp_path_factory):
    """A place to run jobs of several nodes; skips where a process may not have a mount namespace of its own."""
    folder = tmp_path_factory.mktemp("rig")
    (folder / "machine").mkdir()
    made = Rig(make_machine(nvml_library, folder / "machine", []), folder)
    if made.refused:
        made.close()
        pytest.skip(f"needs nodes with boot ids of their own: {made.refused}")
    yield made
    made.close()
