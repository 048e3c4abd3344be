"""The repositories of the test suite's Hub: their commits, branches and files, all in memory."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fnmatch import fnmatch

GIT_ATTRIBUTES = b"*.bin filter=lfs diff=lfs merge=lfs -text\n*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
LARGE = ("*.bin", "*.safetensors", "*.pt", "*.pth", "*.zip", "*.parquet", "*.arrow", "*tfevents*")
"""Files that the Hub keeps beside git, whatever their size."""
LARGE_BYTES = 10 * 1024 * 1024
"""And larger ones, whatever their name."""


class HubError(Exception):
    """An answer that is not the one that was asked for: its HTTP status, its code and its sentence."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


@dataclass(frozen=True)
class Commit:
    """One commit.

    Attributes:
        sha: of the commit, 40 hexadecimal digits.
        parent: the commit's before it; None: the first.
        message: its title.
        description: what follows the title.
        files: every file of the repository after it.
        changed: the paths that it wrote or wrote again, in the order of the upload.
        deleted: the paths that it took away.
        date: when the Hub took it.
    """

    sha: str
    parent: str | None
    message: str
    description: str
    files: Mapping[str, bytes]
    changed: tuple[str, ...]
    deleted: tuple[str, ...]
    date: datetime

    def text(self, path: str) -> str:
        """Return a file's text as it was after this commit; KeyError: there was none."""
        return self.files[path].decode("utf-8")


@dataclass
class Repo:
    """One model repository.

    Attributes:
        name: `user/name`.
        private: as asked for when it was created.
        branches: `main`, and `refs/pr/N` for pull requests; each a list of commits, oldest first.
    """

    name: str
    private: bool = False
    branches: dict[str, list[Commit]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.commit("initial commit", {".gitattributes": GIT_ATTRIBUTES})

    @property
    def commits(self) -> list[Commit]:
        """Of `main`, oldest first, with the one that made the repository."""
        return self.branches["main"]

    @property
    def pushes(self) -> list[Commit]:
        """The commits of `main` after the one that made the repository."""
        return self.commits[1:]

    @property
    def files(self) -> Mapping[str, bytes]:
        """What is on `main` now."""
        return self.commits[-1].files

    def text(self, path: str = "README.md") -> str:
        """Return a file's text on `main` now; KeyError: there is none."""
        return self.commits[-1].text(path)

    def at(self, revision: str) -> Commit:
        """Return the commit that a branch's name or a commit's sha means."""
        if revision in self.branches:
            return self.branches[revision][-1]
        for commit in itertools.chain.from_iterable(self.branches.values()):
            if len(revision) >= 7 and commit.sha.startswith(revision):
                return commit
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def commit(
        self,
        message: str,
        written: Mapping[str, bytes],
        *,
        description: str = "",
        deleted: tuple[str, ...] = (),
        branch: str = "main",
    ) -> Commit:
        """Add a commit to a branch; a folder to delete ends in `/`."""
        before = self.branches.get(branch, [])
        files = dict(before[-1].files) if before else {}
        gone = tuple(
            path for path in files if any(path == name or _inside(path, name) for name in deleted)
        )
        for path in gone:
            del files[path]
        files.update(written)
        parent = before[-1].sha if before else None
        date = datetime.now(timezone.utc)
        sha = _sha(
            parent, message, date, sorted((path, oid(content)) for path, content in files.items())
        )
        made = Commit(sha, parent, message, description, files, tuple(written), gone, date)
        self.branches.setdefault(branch, []).append(made)
        return made

    def pull_request(self) -> str:
        """Open the next pull request's branch, from `main`, and return its name."""
        number = sum(name.startswith("refs/pr/") for name in self.branches) + 1
        name = f"refs/pr/{number}"
        self.branches[name] = list(self.commits)
        return name


def is_large(path: str, size: int) -> bool:
    """Whether the Hub takes a file beside git, not in it; empty ones never."""
    return size > 0 and (
        size > LARGE_BYTES or any(fnmatch(path.rsplit("/", 1)[-1], pattern) for pattern in LARGE)
    )


def oid(content: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _sha(*parts: object) -> str:
    return hashlib.sha1(repr(parts).encode(), usedforsecurity=False).hexdigest()


def _inside(path: str, folder: str) -> bool:
    return folder.endswith("/") and path.startswith(folder)
