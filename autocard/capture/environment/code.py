"""Which code ran: the git commit of the main script's folder.

Runs the git program with a time limit and without locks, hooks or helpers. A remote is recorded
without user name, password or token, and only if its host is a public one or is listed in
`remote_hosts`. Folder names are published only with such a remote, and only if git tracks the
script: otherwise they may contain the name of a client or a person.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from autocard import commands
from autocard.capture.observed import Observed
from autocard.errors import UnavailableError
from autocard.record import Code
from autocard.record.gaps import Part, PartBuilder

TIMEOUT_S = 2.0
"""Seconds that one question to git may take."""

PUBLIC_HOSTS = frozenset(
    {"github.com", "gitlab.com", "huggingface.co", "codeberg.org", "bitbucket.org"}
)
"""Hosts whose names tell nothing about where the run's author works."""

# user@host:path, as in git@github.com:owner/name.git
_SCP = re.compile(r"(?:[^@/\s]+@)?(?P<host>[\w.-]+):(?P<path>(?!/)[^\s]+)")
# SHA-1 or SHA-256
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
# owner/name, group/subgroup/name
_REPOSITORY = re.compile(r"[\w.-]+(?:/[\w.-]+)+")


class SlowGitError(UnavailableError):
    """Git took too long; the file system may be slow, or the repository huge."""


_INSTALLED = "the main script is an installed program; its version is among the software"
_FROM_GIT = ("commit", "dirty", "remote", "note")
"""Fields of `Code` that only git gives."""


def capture(observed: Observed) -> Part[Code]:
    """Return commit, state, remote and script of the code that runs."""
    script, why = _script()
    if script is None:
        return Part(Code(), dict.fromkeys(Code.model_fields, why))
    part = PartBuilder(Code, "code")
    part.fields["script"] = script.name
    top = None
    if _is_installed(script):
        why = _INSTALLED
    else:
        with part.guard(""):
            top, why = _repository(script.parent)
    if top is None:
        part.gaps.update(dict.fromkeys(_FROM_GIT, why or "git could not be run"))
        return part.build()
    with part.guard("commit"):
        part.fields["commit"] = _commit(top)
    with part.guard("dirty"):
        part.fields["dirty"] = _dirty(top, script)
    with part.guard("remote"):
        part.fields["remote"] = _remote(top, observed.settings.remote_hosts)
    with part.guard("script"):
        # The folders may be published where the repository is.
        if part.fields.get("remote") is not None and _is_tracked(top, script):
            part.fields["script"] = script.relative_to(top).as_posix()
    with part.guard("note"):
        part.fields["note"] = _submodules(top)
    return part.build()


def _script() -> tuple[Path | None, str]:
    """Return the main script, or (None, why there is none)."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    if not file:
        return (
            None,
            "no script: training ran interactively, in a notebook or a shell",
        )
    path = Path(file)
    if not path.is_file():
        return None, "the main script no longer exists"
    return Path(os.path.realpath(path)), ""


def _is_installed(script: Path) -> bool:
    """Return whether *script* lies where Python's packages and programs are installed."""
    places = {sysconfig.get_path(name) for name in ("purelib", "platlib", "scripts", "stdlib")}
    return any(place and script.is_relative_to(os.path.realpath(place)) for place in places)


def _repository(folder: Path) -> tuple[Path | None, str]:
    if shutil.which("git") is None:
        return None, "git is not installed"
    try:
        top = _git(folder, "rev-parse", "--show-toplevel")
    except SlowGitError as exc:
        return None, str(exc)
    except UnavailableError:
        return None, "the main script is not in a git repository that can be read"
    return Path(os.path.realpath(top)), ""


def _commit(top: Path) -> str:
    try:
        commit = _git(top, "rev-parse", "--verify", "HEAD")
    except SlowGitError:
        raise
    except UnavailableError as exc:
        msg = "the repository has no commit yet"
        raise UnavailableError(msg) from exc
    if not _COMMIT.fullmatch(commit):
        msg = "git did not name a commit"
        raise UnavailableError(msg)
    return commit


def _dirty(top: Path, script: Path) -> bool:
    """Return whether a tracked file was changed, or the script itself is not tracked."""
    if _git(top, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all"):
        return True
    return not _is_tracked(top, script)


def _is_tracked(top: Path, script: Path) -> bool:
    return bool(_git(top, "--literal-pathspecs", "ls-files", "--", str(script.relative_to(top))))


def _submodules(top: Path) -> str:
    """Return how many submodules there are; their own changes are not looked for."""
    try:
        names = _git(
            top,
            "config",
            "--file",
            ".gitmodules",
            "--name-only",
            "--get-regexp",
            r"^submodule\..*\.path$",
        )
    except SlowGitError:
        raise
    except UnavailableError as exc:
        msg = "there is nothing to add: no submodules"
        raise UnavailableError(msg) from exc
    count = len(names.splitlines())
    return f"{count} submodule{'s' if count > 1 else ''}, not checked for changes"


def _remote(top: Path, allowed: Collection[str]) -> str:
    try:
        # Not `remote get-url`: that applies insteadOf, where people keep tokens.
        names = _git(top, "config", "--local", "--get-regexp", r"^remote\..*\.url$")
    except SlowGitError:
        raise
    except UnavailableError as exc:
        msg = "the repository has no remote"
        raise UnavailableError(msg) from exc
    urls = dict(line.split(" ", 1) for line in names.splitlines() if " " in line)
    found = public_url(urls.get("remote.origin.url") or next(iter(urls.values()), ""), allowed)
    if found is None:
        msg = (
            "the remote is on none of the public hosts and none of remote_hosts, "
            "so it is not published"
        )
        raise UnavailableError(msg)
    return found


def public_url(remote: str, allowed: Collection[str] = ()) -> str | None:
    """Return *remote* as an https address without credentials or port, if its host may be named.

    Args:
        remote: as git has it.
        allowed: hosts that may be named besides the public ones, in lower case.

    >>> public_url("https://user:secret@github.com/owner/name.git?token=x")
    'https://github.com/owner/name'
    >>> public_url("git@github.com:owner/name.git")
    'https://github.com/owner/name'
    >>> public_url("/home/user/name.git") is None
    True
    >>> public_url("ssh://git@git.example.org:2222/group/name.git", ["git.example.org"])
    'https://git.example.org/group/name'
    """
    remote = remote.strip()
    if "://" in remote:
        try:
            parts = urlsplit(remote)
            host, path = parts.hostname or "", parts.path
        except ValueError:
            return None
        if parts.scheme not in {"https", "http", "ssh", "git", "git+ssh"}:
            return None
    else:
        short = _SCP.fullmatch(remote)
        if short is None:
            return None
        host, path = short["host"].lower(), short["path"]
    path = path.strip("/").removesuffix(".git")
    if (
        host not in {*PUBLIC_HOSTS, *allowed}
        or not _REPOSITORY.fullmatch(path)
        or {".", ".."} & set(path.split("/"))
    ):
        return None
    return f"https://{host}/{path}"


def _git(folder: Path, *question: str) -> str:
    """Return what git answers.

    Raises:
        UnavailableError: it refused, or took too long.
    """
    program = shutil.which("git") or "git"
    environment = {
        **os.environ,
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        environment.pop(name, None)
    command = [program, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *question]
    try:
        answer = commands.run(command, TIMEOUT_S, cwd=folder, env=environment)
    except subprocess.TimeoutExpired as exc:
        msg = f"git did not answer within {TIMEOUT_S:g} s"
        raise SlowGitError(msg) from exc
    except OSError as exc:
        msg = "git could not answer"
        raise UnavailableError(msg) from exc
    if answer.status != 0:
        msg = "git could not answer"
        raise UnavailableError(msg)
    return answer.out.decode("utf-8", errors="replace").strip()
