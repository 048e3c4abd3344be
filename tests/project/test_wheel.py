"""What is tested is what is shipped: the installed wheel, with its data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import autocard


@pytest.mark.skipif("EXPECT_WHEEL" not in os.environ, reason="only `make test` installs the wheel")
def test_the_suite_runs_against_the_installed_wheel():
    assert "site-packages" in Path(autocard.__file__).parts


def test_data_files_are_found_from_anywhere(tmp_path):
    program = (
        "from importlib.resources import files; root = files('autocard');"
        "print(all(root.joinpath(*path).is_file() for path in ["
        "('templates', 'labels.yaml'), ('templates', 'hub_lists.json'), ('py.typed',), "
        "('schema', 'autocard-1.schema.json')]))"
    )

    out = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout

    assert out == "True\n"
