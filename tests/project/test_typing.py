"""Users' type checkers: a consumer of the public names is clean in their strictest modes, and mistakes are found.

Both read the installed wheel, in an environment with pydantic and with transformers' own
`TrainerCallback`. The rest of transformers is left out: it takes mypy half a minute, and nothing of
ours hands it on.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from support import ROOT, TESTS

PROGRAMS = TESTS / "project" / "typing"
CONSUMER, MISTAKES = PROGRAMS / "consumer.py", PROGRAMS / "mistakes.py"
LIBRARIES = (
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "typing_inspection",
    "typing_extensions",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (ROOT / "pyproject.toml").is_file(), reason="the sources are not beside the tests"
    ),
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The Python of an environment that has the wheel, what its types need, and nothing else."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed, and the wheel cannot be built")
    folder = tmp_path_factory.mktemp("types")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    (packages,) = (folder / "env").glob("lib/python*/site-packages")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    for name in LIBRARIES:
        found = Path(find_spec(name).origin)
        found = found.parent if found.name == "__init__.py" else found
        (packages / found.name).symlink_to(found)
    theirs = Path(find_spec("transformers").origin).parent
    (packages / "transformers").mkdir()
    for name in ("py.typed", "trainer_callback.py"):
        (packages / "transformers" / name).symlink_to(theirs / name)
    (packages / "transformers" / "__init__.py").touch()
    return folder / "env" / "bin" / "python"


def mypy(environment, file, cache):
    """Return the lines of *file* in which mypy finds an error, with what it says."""
    if find_spec("mypy") is None:
        pytest.skip("mypy is not installed (it is in the dev extra)")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--python-executable",
        str(environment),
        "--no-error-summary",
    ]
    # Not the project's own configuration: users have none of it.
    command += ["--config-file", "/dev/null", "--cache-dir", str(cache), str(file)]
    said = subprocess.run(
        command, cwd=cache, check=False, capture_output=True, text=True, timeout=200
    )
    assert said.returncode in (0, 1), said.stdout + said.stderr
    return {int(number): text for number, text in re.findall(r":(\d+): error: (.*)", said.stdout)}


def pyright(environment, file, folder):
    """Return the lines of *file* in which pyright finds an error, with what it says."""
    if find_spec("basedpyright") is None:
        pytest.skip("basedpyright is not installed (it is in the dev extra)")
    shutil.copy(file, folder / file.name)
    # The mode of pyright itself, not that of basedpyright.
    settings = {"typeCheckingMode": "strict", "include": [file.name]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [
        sys.executable,
        "-m",
        "basedpyright",
        "--outputjson",
        "--pythonpath",
        str(environment),
        "--project",
        str(folder),
    ]
    said = subprocess.run(
        command, cwd=folder, check=False, capture_output=True, text=True, timeout=200
    )
    assert said.stdout, (said.returncode, said.stderr)
    found = json.loads(said.stdout)
    assert found["summary"]["filesAnalyzed"] == 1, said.stdout
    return {
        each["range"]["start"]["line"] + 1: each["message"]
        for each in found["generalDiagnostics"]
        if each["severity"] == "error"
    }


@pytest.mark.parametrize("check", [mypy, pyright])
def test_a_consumer_of_the_public_names_is_clean(check, environment, tmp_path):
    assert check(environment, CONSUMER, tmp_path) == {}


@pytest.mark.parametrize("check", [mypy, pyright])
def test_mistakes_of_a_consumer_are_found(check, environment, tmp_path):
    lines = MISTAKES.read_text(encoding="utf-8").splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}

    found = check(environment, MISTAKES, tmp_path)

    assert found.keys() == wrong, found
    assert len(wrong) > 10
