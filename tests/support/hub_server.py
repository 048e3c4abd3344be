"""A Hub on this machine: an HTTP server that speaks what real clients of the Hub speak, and keeps its models in memory.

    with Hub() as hub:                               # hub.url is what HF_ENDPOINT must be
        hub.create("me/x", {"README.md": "# X\n"})   # a repository that is there already
        ...                                          # anything that pushes
        hub.repo("me/x").pushes[-1].changed          # paths of the last upload
        hub.repo("me/x").text("README.md")
        hub.edit("me/x", "README.md", "# Mine\n")    # somebody edits on the Hub's own page
        hub.refuse(at="validate-yaml")               # see `refuse`, `fail`, `slow`, `drop`; `heal`
        ends them all

Written for huggingface_hub 0.36 and 2.4 from their sources (hf_api.py, _commit_api.py, lfs.py,
file_download.py). It has no Xet storage: it tells clients to put every file into the commit. With
`large_files = True` it asks for weights by Git LFS, as the real Hub does of clients without Xet;
those then need HF_HUB_DISABLE_XET=1.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

from support.hub_api import Handler
from support.hub_store import Commit, HubError, Repo

WAIT_S = 0.02


@dataclass(frozen=True)
class Check:
    """One card whose metadata the Hub was asked about, or that came in a commit.

    Attributes:
        text: of the README.md.
        errors: the Hub's refusals; empty: accepted.
        warnings: what it finds odd, and takes.
    """

    text: str
    errors: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass
class Fault:
    """Something that goes wrong with the answers whose path contains *at*, *times* times (None: until `heal`)."""

    at: str
    times: int | None
    status: int | None = None
    message: str = ""
    seconds: float = 0.0
    before: bool = False
    midway: bool = False
    instead: Callable[[Any], None] | None = None
    """Writes the whole answer, given the handler of the connection."""


@dataclass
class Hub:
    """The server and all that it holds.

    Attributes:
        user: whose token is *token*; repositories without a namespace are theirs.
        organizations: where they may write as well.
        large_files: weights are kept beside git, as on the real Hub; else everything is in the
            commits.
        repositories: by name.
        checks: cards looked at by validate-yaml, oldest first.
        requests: every request's method and path, oldest first.
        unknown: those that this server does not know, to be looked at when a client changed.
    """

    user: str = "me"
    token: str = "hf_test"  # noqa: S105 - of this server only
    organizations: tuple[str, ...] = ("team",)
    large_files: bool = False
    repositories: dict[str, Repo] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    unknown: list[tuple[str, str]] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Hub:  # noqa: PYI034 - `Self` is not in Python 3.10
        """Start on a free port of the loopback."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(WAIT_S,), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop; answers that are slow on purpose end at once."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """What HF_ENDPOINT must be."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def create(
        self, name: str, files: Mapping[str, str | bytes] | None = None, *, private: bool = False
    ) -> Repo:
        """Make a repository that is there before anybody pushes."""
        with self.lock:
            repo = self.repositories[name] = Repo(name, private=private)
            if files:
                repo.commit(
                    "Upload files", {path: _bytes(content) for path, content in files.items()}
                )
            return repo

    def repo(self, name: str) -> Repo:
        """Return a repository; a HubError that it is not there."""
        with self.lock:
            if name not in self.repositories:
                raise HubError(404, "Repository not found", "RepoNotFound")
            return self.repositories[name]

    def edit(self, name: str, path: str, text: str) -> Commit:
        """Somebody changes a file on the Hub's own page: one more commit."""
        with self.lock:
            return self.repo(name).commit(f"Update {path}", {path: text.encode()})

    def asked(self, pattern: str) -> list[tuple[str, str]]:
        """Return the requests whose `METHOD /path` a regular expression finds."""
        return [
            (method, path)
            for method, path in self.requests
            if re.search(pattern, f"{method} {path}")
        ]

    def refuse(self, at: str = "", *, times: int | None = None) -> None:
        """From now on 403: the token may not do this. *at*: only where the path contains it."""
        self.fail(
            403,
            at,
            times=times,
            message="You don't have the required permissions to perform this action",
        )

    def fail(
        self, status: int = 500, at: str = "", *, times: int | None = None, message: str = ""
    ) -> None:
        """From now on answer with an error; clients try 500 and 503 again for about half a minute."""
        self.faults.append(
            Fault(
                at, times, status=status, message=message or "Internal Error - We're working on it"
            )
        )

    def slow(self, seconds: float, at: str = "", *, times: int | None = None) -> None:
        """From now on let clients wait before they get an answer; what they asked for has been done."""
        self.faults.append(Fault(at, times, seconds=seconds))

    def drop(self, at: str = "", *, before: bool = False, times: int | None = None) -> None:
        """From now on break the connection off in the middle of the answer, or *before* anything was done."""
        self.faults.append(Fault(at, times, before=before, midway=not before))

    def pretend(
        self, instead: Callable[[Any], None], at: str = "", *, times: int | None = None
    ) -> None:
        """From now on something else answers in the Hub's place: *instead* writes the answer, given the handler."""
        self.faults.append(Fault(at, times, instead=instead))

    def heal(self) -> None:
        """All is well again."""
        with self.lock:
            self.faults.clear()

    def fault(self, path: str) -> Fault | None:
        """Return what goes wrong with this answer."""
        with self.lock:
            for fault in self.faults:
                if fault.at in path and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None

    def wait(self, seconds: float) -> None:
        """Sleep, or until the server stops."""
        self.stopping.wait(seconds)


def _handler(hub: Hub) -> Callable[..., Any]:
    return type("HubHandler", (Handler,), {"hub": hub})


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content
