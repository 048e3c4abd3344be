"""The files that a release consists of: both are built here, and hold what they should and nothing else."""

from __future__ import annotations

import email
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec

import pytest

from support import ROOT

pytestmark = [
    pytest.mark.skipif(
        not (ROOT / "pyproject.toml").is_file(), reason="the sources are not beside the tests"
    ),
    pytest.mark.skipif(
        find_spec("build") is None, reason="build is not installed (it is in the dev extra)"
    ),
]

PACKAGE_DATA = {".yaml", ".json", ".md", ".typed", ".py"}


def build(out, *options):
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--outdir",
        str(out),
        *options,
        str(ROOT),
    ]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A source distribution, and the wheel that is built from it."""
    out = tmp_path_factory.mktemp("release")
    build(out)
    return out


@pytest.fixture(scope="module")
def sdist(release):
    (file,) = release.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        return {
            member.name.partition("/")[2]: archive.extractfile(member).read()
            if member.isfile()
            else None
            for member in archive
            if not member.isdir()
        }


@pytest.fixture(scope="module")
def wheel(release):
    (file,) = release.glob("*.whl")
    return read(file)


def read(wheel_file):
    with zipfile.ZipFile(wheel_file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def files_of_git():
    """Return the files that git has or would take: what is ignored is not among them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    return set(listed.stdout.split("\0")) - {""} if listed.returncode == 0 else None


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(wheel):
    there = {
        f"autocard/{file.relative_to(ROOT / 'autocard').as_posix()}"
        # a link, into which rglob does not go
        for folder in (ROOT / "autocard", ROOT / "autocard" / "templates")
        for file in folder.rglob("*")
        if file.suffix in PACKAGE_DATA and file.is_file()
    }

    inside = {name for name in wheel if not name.split("/")[0].endswith(".dist-info")}

    assert inside == there
    assert {
        "autocard/py.typed",
        "autocard/templates/labels.yaml",
        "autocard/templates/compact.md",
        "autocard/schema/autocard-1.schema.json",
    } <= inside


def test_the_wheel_built_from_the_source_distribution_is_the_one_built_from_the_tree(
    wheel, tmp_path
):
    build(tmp_path, "--wheel")

    (file,) = tmp_path.glob("*.whl")
    assert read(file) == wheel


def test_the_source_distribution_holds_what_a_packager_needs(sdist):
    needed = {
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "CITATION.cff",
        "Makefile",
    }

    assert needed <= sdist.keys()
    assert {
        "tests/conftest.py",
        "docs/energy.md",
        "templates/labels.yaml",
        "autocard/py.typed",
    } <= sdist.keys()


def test_the_source_distribution_holds_nothing_that_git_does_not_know(sdist):
    known = files_of_git()
    if known is None:
        pytest.skip("this is no git checkout")

    # The package's folder of templates is a link in the tree.
    inside = {name.replace("autocard/templates/", "templates/") for name in sdist}
    assert inside - known - {"PKG-INFO", "autocard/templates"} == set()


def test_the_metadata_says_where_the_project_is(wheel):
    (name,) = (name for name in wheel if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(wheel[name])

    urls = dict(entry.split(", ", 1) for entry in metadata.get_all("Project-URL"))
    assert {"Homepage", "Documentation", "Changelog", "Issues", "Source"} <= urls.keys()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"


@pytest.mark.parametrize("tool", ["twine check --strict", "check-wheel-contents"])
def test_the_tools_for_releases_find_nothing_wrong(tool, release):
    name, *options = tool.split()
    module = name.replace("-", "_")
    if find_spec(module) is None:
        pytest.skip(f"{name} is not installed (it is in the dev extra)")
    files = [str(file) for file in release.iterdir() if name == "twine" or file.suffix == ".whl"]

    ran = subprocess.run(
        [sys.executable, "-m", module, *options, *files],
        check=False,
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_dist_runs_the_same_checks():
    steps = subprocess.run(
        ["make", "-n", "dist"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout

    assert "-m build --no-isolation\n" in steps
    assert "twine check --strict dist/*\n" in steps
    assert "check-wheel-contents dist/*.whl\n" in steps
