"""Fixtures that give processes NVIDIA GPUs which are not there.

A test module asks for them with `pytest_plugins = ["support.nvml_fixtures"]`: `nvml_env(gpus=2, watts=300)`
gives the environment for a process, `nvml_machine` a `Machine`, whose GPUs can be changed while the
process runs.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support.nvml_stand_in import SOURCE, Gpu, Machine, make_machine, uuid_of


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler (cc or gcc), to build the stand-in for NVIDIA's library")
    library = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    command = [
        compiler,
        "-O1",
        "-Wall",
        "-Werror",
        "-shared",
        "-fPIC",
        "-o",
        str(library),
        str(SOURCE),
        "-ldl",
    ]
    subprocess.run(command, check=True)
    return library


@pytest.fixture
def nvml_machine(nvml_library, tmp_path_factory):
    """Make a machine: `nvml_machine(gpus=2, watts=300)`, or `nvml_machine([Gpu(…), …])`."""

    def make(gpus: int | list[Gpu] = 2, watts: float = 300.0) -> Machine:
        listed = (
            [Gpu(uuid_of(number), watts=watts) for number in range(gpus)]
            if isinstance(gpus, int)
            else gpus
        )
        return make_machine(nvml_library, tmp_path_factory.mktemp("machine"), listed)

    return make


@pytest.fixture
def nvml_env(nvml_machine):
    """Make an environment: `nvml_env(gpus=2, watts=300) -> dict[str, str]`."""
    return lambda gpus=2, watts=300.0: nvml_machine(gpus, watts).env
