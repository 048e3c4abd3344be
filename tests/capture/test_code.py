"""Which code ran, against real git repositories and real processes."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from autocard.capture.environment.code import public_url
from support.captured import value_of

ASK = textwrap.dedent("""
    import json
    from autocard.trainers.transformers import observe
    from autocard.capture.environment import code
    from autocard.settings import resolve
    from autocard.record.gaps import under
    part = code.capture(observe(resolve({}), None, None))
    print(json.dumps({"part": part.value.model_dump(), "missing": under("code", part.gaps)}))
""")


def git(folder, *words):
    names = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    answer = subprocess.run(
        ["git", *words], cwd=folder, env={**os.environ, **names}, capture_output=True, check=True
    )
    return answer.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "home" / "alice" / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "train.py").write_text(ASK)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "x")
    return folder


def run(script, **environment):
    answer = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
    )
    told = json.loads(answer.stdout)
    unexplained = [
        key
        for key, value in told["part"].items()
        if value is None and f"code.{key}" not in told["missing"]
    ]
    assert unexplained == []
    return told["part"], told["missing"]


def test_the_commit_and_the_script_s_place_in_the_repository_are_told(repository):
    git(repository, "remote", "add", "origin", "https://github.com/org/project")

    part, missing = run(repository / "src" / "train.py")

    assert part["commit"] == git(repository, "rev-parse", "HEAD")
    assert part["dirty"] is False
    assert part["script"] == "src/train.py"
    assert missing == {"code.note": "there is nothing to add: no submodules"}


@pytest.mark.parametrize(
    "remote", [None, "git@git.secret-company.example:org/project.git", "/srv/git/project.git"]
)
def test_folders_of_a_repository_without_a_public_remote_are_not_published(repository, remote):
    if remote is not None:
        git(repository, "remote", "add", "origin", remote)
    script = repository / "clients" / "SECRETclient" / "train.py"
    script.parent.mkdir(parents=True)
    script.write_text(ASK)
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "x")

    part, missing = run(script)

    assert part["script"] == "train.py"
    assert "SECRETclient" not in json.dumps([part, missing])


@pytest.mark.parametrize("folder", ["SECRETclient", "[s]rc"])
def test_folders_of_a_script_that_git_does_not_track_are_not_published(repository, folder):
    git(repository, "remote", "add", "origin", "https://github.com/org/project")
    script = repository / folder / "train.py"
    script.parent.mkdir()
    script.write_text(ASK)

    part, _ = run(script)

    assert (part["script"], part["dirty"]) == ("train.py", True)


def test_folders_are_published_with_a_host_that_the_user_allows(repository):
    git(repository, "remote", "add", "origin", "git@git.lab.example:group/project.git")

    part, _ = run(repository / "src" / "train.py", AUTOCARD_REMOTE_HOSTS="git.lab.example")

    assert part["script"] == "src/train.py"


def test_submodules_are_told_by_their_number(repository):
    (repository / ".gitmodules").write_text(
        '[submodule "a/secret"]\n\tpath = a/secret\n\turl = https://x.example/a\n'
    )

    part, _ = run(repository / "src" / "train.py")

    assert part["note"] == "1 submodule, not checked for changes"


def test_a_changed_file_makes_it_dirty_and_a_new_output_does_not(repository):
    (repository / "output.txt").write_text("new")
    assert run(repository / "src" / "train.py")[0]["dirty"] is False

    (repository / "src" / "train.py").write_text(ASK + "# changed\n")

    assert run(repository / "src" / "train.py")[0]["dirty"] is True


def test_a_script_that_git_does_not_know_makes_it_dirty(repository):
    (repository / "new.py").write_text(ASK)

    assert run(repository / "new.py")[0]["dirty"] is True


@pytest.mark.parametrize(
    "remote",
    [
        "https://alice:glpat-SECRET@github.com/org/project.git",
        "git@github.com:org/project.git",
        "ssh://git@github.com:22/org/project.git",
        "https://github.com/org/project?private_token=SECRET",
    ],
)
def test_a_remote_is_told_without_credentials(repository, remote):
    git(repository, "remote", "add", "origin", remote)

    part, _ = run(repository / "src" / "train.py")

    assert part["remote"] == "https://github.com/org/project"


@pytest.mark.parametrize(
    "remote",
    [
        "/home/alice/project.git",
        "file:///home/alice/project.git",
        "../project.git",
        "https://git.secret-company.example/org/project",
        "git@github-work:org/project.git",
        "https://github.com.evil.example/org/project",
        "https://github.com/../../home",
    ],
)
def test_a_remote_that_is_not_at_a_public_host_is_not_told(repository, remote):
    git(repository, "remote", "add", "origin", remote)

    part, missing = run(repository / "src" / "train.py")

    assert part["remote"] is None
    assert "public hosts" in missing["code.remote"]


@pytest.mark.parametrize(
    ("remote", "told"),
    [
        (
            "ssh://alice:SECRET@git.lab.example:2222/group/project.git",
            "https://git.lab.example/group/project",
        ),
        ("git@GIT.lab.example:group/project.git", "https://git.lab.example/group/project"),
        ("https://git.lab.example.evil.example/group/project", None),
        ("https://other.lab.example/group/project", None),
        ("https://github.com/org/project", "https://github.com/org/project"),
    ],
)
def test_a_host_that_the_user_allows_is_named_and_no_other(repository, remote, told):
    git(repository, "remote", "add", "origin", remote)

    part, missing = run(
        repository / "src" / "train.py", AUTOCARD_REMOTE_HOSTS="git.lab.example,code.lab.example"
    )

    assert part["remote"] == told
    assert ("remote_hosts" in missing.get("code.remote", "")) is (told is None)


def test_tokens_in_git_s_own_rewriting_rules_are_not_told(repository):
    git(repository, "remote", "add", "origin", "https://github.com/org/project")
    git(repository, "config", "url.https://x:SECRET@github.com/.insteadOf", "https://github.com/")

    part, _ = run(repository / "src" / "train.py")

    assert part["remote"] == "https://github.com/org/project"


def test_a_program_that_the_repository_s_settings_name_is_not_run(repository, tmp_path):
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/trapped\n")
    trap.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(trap))

    part, _ = run(repository / "src" / "train.py")

    assert part["commit"]
    assert not (tmp_path / "trapped").exists()


def test_asking_takes_no_lock_and_writes_nothing(repository):
    before = {path: path.stat().st_mtime_ns for path in (repository / ".git").rglob("*")}
    (repository / "src" / "train.py").touch()  # would make `git status` refresh its index

    run(repository / "src" / "train.py")

    assert {path: path.stat().st_mtime_ns for path in (repository / ".git").rglob("*")} == before


def test_a_repository_named_by_variables_is_not_the_script_s(repository, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")

    part, _ = run(repository / "src" / "train.py", GIT_DIR=str(other / ".git"))

    assert part["commit"] == git(repository, "rev-parse", "HEAD")


def test_outside_of_a_repository_only_the_file_s_name_is_told(tmp_path):
    (tmp_path / "train.py").write_text(ASK)

    part, missing = run(tmp_path / "train.py", GIT_CEILING_DIRECTORIES=str(tmp_path))

    assert part == {
        "commit": None,
        "dirty": None,
        "remote": None,
        "script": "train.py",
        "note": None,
    }
    assert str(tmp_path) not in json.dumps(missing)


def test_a_repository_without_commits_is_a_reason(tmp_path):
    (tmp_path / "train.py").write_text(ASK)
    git(tmp_path, "init", "-q")

    part, missing = run(tmp_path / "train.py")

    assert part["commit"] is None
    assert missing["code.commit"] == "the repository has no commit yet"


def test_without_git_there_is_a_reason(repository, tmp_path):
    part, missing = run(repository / "src" / "train.py", PATH=str(tmp_path))

    assert part["script"] == "train.py"
    assert missing["code.commit"] == "git is not installed"


def test_a_git_that_hangs_is_given_up(repository, tmp_path):
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)

    part, missing = run(repository / "src" / "train.py", PATH=f"{slow.parent}:{os.environ['PATH']}")

    assert part["commit"] is None
    assert missing["code.commit"] == "git did not answer within 2 s"


def test_code_from_the_command_line_has_no_script():
    answer = subprocess.run([sys.executable, "-c", ASK], capture_output=True, check=True)

    told = json.loads(answer.stdout)

    assert set(told["part"].values()) == {None}
    assert "interactively" in told["missing"]["code.script"]


def test_an_installed_program_is_not_taken_for_the_run_s_code(monkeypatch):
    from autocard.capture.environment import code
    from autocard.trainers.transformers import observe

    monkeypatch.setattr(sys.modules["__main__"], "__file__", pytest.__file__, raising=False)

    missing = {}

    part = value_of("code", code.capture, missing, observe(None, None, None))

    assert part.commit is None
    assert "installed" in missing["code.commit"]


@pytest.mark.parametrize(
    "remote", ["", "x", "https://", "https://[::1", "https://github.com/", "github.com:"]
)
def test_what_is_no_address_is_none(remote):
    assert public_url(remote) is None
