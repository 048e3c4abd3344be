"""The files around the code agree with each other: versions, addresses, workflows, forms for issues, the citation."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import autocard
from support import ROOT, slurm_cluster

GITHUB = ROOT / ".github"
HOOKS = ROOT / ".pre-commit-config.yaml"
ADDRESS = re.compile(r"https://github\.com/([\w.-]+/autocard)\b")

in_the_repository = pytest.mark.skipif(
    not GITHUB.is_dir(), reason="the repository's own files are not beside the tests"
)


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def pins(name="constraints.txt"):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = (re.match(r"([\w.-]+)==([^;\s]+)", line) for line in lines)
    return {match[1].lower(): match[2] for match in found if match}


def on_path(name):
    """Return the command *name* of this environment, or of the one that its packages come from."""
    folders = {
        Path(sys.executable).parent,
        *(Path(place).parents[2] / "bin" for place in sys.path if place.endswith("site-packages")),
    }
    return next(
        (found for folder in folders if (found := shutil.which(name, path=str(folder)))),
        shutil.which(name),
    )


@in_the_repository
def test_hooks_have_the_versions_of_the_constraints():
    revisions = {Path(repo["repo"]).name: repo.get("rev") for repo in read(HOOKS)["repos"]}

    assert revisions["ruff-pre-commit"] == f"v{pins()['ruff']}"


@in_the_repository
def test_the_configuration_of_the_hooks_is_valid():
    pytest.importorskip("pre_commit", reason="pre-commit is not installed (it is in the dev extra)")

    command = [sys.executable, "-m", "pre_commit", "validate-config", str(HOOKS)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)

    assert ran.returncode == 0, ran.stdout + ran.stderr


@in_the_repository
def test_a_real_slurm_is_installed_where_the_whole_suite_runs_and_cannot_be_skipped_there():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

    assert set(f"{slurm_cluster.PACKAGES} openmpi-bin".split()) <= set(script.split())
    assert script.index("export EXPECT_SLURM=1") < script.index('make test MARKERS="not gpu"')


def test_a_machine_without_slurm_is_told_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    reason = slurm_cluster.why_not(tmp_path)

    assert reason.startswith("needs slurmd, slurmctld, slurmdbd, munged, mariadbd")
    assert slurm_cluster.PACKAGES in reason


@in_the_repository
def test_actionlint_finds_nothing_wrong_with_the_workflows():
    tool = on_path("actionlint")
    if tool is None:
        pytest.skip("actionlint is not installed (it is in the dev extra)")

    ran = subprocess.run(
        [tool, *GITHUB.glob("workflows/*.yml")], check=False, capture_output=True, text=True
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


@in_the_repository
def test_the_workflow_covers_each_python_that_the_package_names():
    named = set(
        re.findall(
            r"Programming Language :: Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text()
        )
    )

    jobs = read(GITHUB / "workflows" / "test.yml")["jobs"]
    covered = {version for job in ("test", "oldest") for version in versions_of(jobs[job])}

    assert covered == named


def versions_of(job):
    """Return the versions of Python in which a job of the workflow runs."""
    matrix = job.get("strategy", {}).get("matrix", {}).get("python", [])
    given = [
        step["with"]["python-version"]
        for step in job["steps"]
        if "setup-python" in step.get("uses", "")
    ]
    return [*matrix, *(version for version in given if "{" not in version)]


@in_the_repository
@pytest.mark.parametrize("target", ["test-oldest", "test-newest"])
def test_each_make_target_of_the_workflow_is_there(target):
    workflow = (GITHUB / "workflows" / "test.yml").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert f"make {target}\n" in workflow
    assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


@in_the_repository
@pytest.mark.parametrize("name", ["false_line", "disturbed_training", "unserved_setup"])
def test_forms_for_issues_are_well_made(name):
    form = read(GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml")

    assert {"name", "description", "body"} <= form.keys()
    asked = [part for part in form["body"] if part["type"] != "markdown"]
    assert {part["type"] for part in asked} <= {"dropdown", "input", "textarea", "checkboxes"}
    assert all(
        re.fullmatch(r"[a-z_]+", part["id"]) and part["attributes"]["label"] for part in asked
    )
    assert (
        len({part["id"] for part in asked})
        == len({part["attributes"]["label"] for part in asked})
        == len(asked)
    )
    assert all(part["attributes"]["options"] for part in asked if part["type"] == "dropdown")
    assert [part for part in asked if "autocard doctor" in part["attributes"]["label"]] != []


def test_the_citation_is_that_of_this_version():
    pytest.importorskip("jsonschema")
    import jsonschema

    text = {"type": "string", "minLength": 1}
    schema = {  # of the Citation File Format 1.2.0, what this file uses
        "type": "object",
        "required": ["authors", "cff-version", "message", "title"],
        "additionalProperties": False,
        "properties": {
            **dict.fromkeys(("message", "title", "abstract", "license"), text),
            **{
                key: {"type": "string", "pattern": "^https://"}
                for key in ("repository-code", "url")
            },
            "cff-version": {"const": "1.2.0"},
            "type": {"enum": ["software", "dataset"]},
            "version": text,
            "keywords": {"type": "array", "items": text, "minItems": 1, "uniqueItems": True},
            "authors": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "additionalProperties": False,
                    "properties": {"name": text},
                },
            },
        },
    }
    citation = read(ROOT / "CITATION.cff")

    jsonschema.Draft202012Validator(schema).validate(citation)
    assert citation["version"] == autocard.__version__
    assert citation["license"] == "Apache-2.0"


def test_the_project_has_one_address():
    files = ["pyproject.toml", "CITATION.cff", "CONTRIBUTING.md", "RELEASING.md", "README.md"]
    files += ["mkdocs.yml", *(page.relative_to(ROOT) for page in ROOT.glob("docs/*.md"))]
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in files]
    texts += [file.read_text(encoding="utf-8") for file in GITHUB.rglob("*.*")]

    assert len({found for text in texts for found in ADDRESS.findall(text)}) == 1


def test_the_tools_of_the_dev_extra_are_pinned():
    listed = (
        (ROOT / "pyproject.toml")
        .read_text(encoding="utf-8")
        .split("\ndev = [\n")[1]
        .split("\n]\n")[0]
    )
    tools = {
        name.lower() for name in re.findall(r'^  "([\w.-]+)[^[\w]', listed, flags=re.MULTILINE)
    } - {"autocard"}

    assert tools - pins().keys() == set()


def test_the_tests_of_real_gpus_are_left_out_where_they_cannot_run():
    # What an outer make was given would hold for this one, too.
    inherited = {"MARKERS", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL"}
    environment = {name: value for name, value in os.environ.items() if name not in inherited}

    def steps(*words):
        command = ["make", "-n", *words]
        return subprocess.run(
            command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
        ).stdout

    assert '-m "not gpu and not slow and not slurm"' in steps("test")
    assert '-m "not gpu"' in steps("test", "MARKERS=not gpu")
    assert '-m "not gpu"' in steps("coverage")
    assert "pytest -m gpu\n" in steps("gpu")


@in_the_repository
def test_the_readme_names_the_command_by_which_the_whole_suite_runs():
    command = 'make test MARKERS="not gpu"'

    assert f"\n{command}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")
