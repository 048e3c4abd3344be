"""The Hub's HTTP interface, as far as pushing, reading and checking models needs it; hub_server.py starts it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from support import hub_answers as answers
from support.hub_checks import refusals
from support.hub_store import Commit, HubError, Repo

if TYPE_CHECKING:
    from support.hub_server import Fault, Hub

ACTIONS = {"commit", "commits", "paths-info", "preupload", "refs", "revision", "tree"}
READING = {"GET", "HEAD"}


class Handler(BaseHTTPRequestHandler):
    """One connection of one client."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: `hub.requests` has it all."""

    def handle(self) -> None:
        """Answer requests until the client goes; some go in the middle of an answer."""
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def answer(self) -> None:
        """Answer one request."""
        self.path_only = urlsplit(self.path).path
        self.query = {
            name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()
        }
        body = self._body()
        self.hub.requests.append((self.command, self.path))
        fault = self.hub.fault(self.path_only)
        if fault is not None and fault.before:
            self.close_connection = True
            return
        if fault is not None and fault.instead is not None:
            self.close_connection = True
            fault.instead(self)
            return
        try:
            if fault is not None and fault.status is not None:
                raise _from_fault(fault)
            with self.hub.lock:
                status, headers, content = self._route(body)
        except HubError as error:
            status, headers, content = _refusal(error)
        if fault is not None:
            self.hub.wait(fault.seconds)
        self._send(status, headers, content, cut=fault is not None and fault.midway)

    do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815 - the base class's names

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def _send(self, status: int, headers: dict[str, str], content: bytes, *, cut: bool) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(content)),
            "X-Request-Id": "test",
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if cut:
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        elif self.command != "HEAD":
            self.wfile.write(content)

    def _route(self, body: bytes) -> tuple[int, dict[str, str], bytes]:  # noqa: PLR0911 - a table
        parts = [unquote(part) for part in self.path_only.strip("/").split("/")]
        if self.command not in READING and self.path_only != "/api/validate-yaml":
            self._signed_in()
        match parts:
            case ["api", "whoami-v2"]:
                self._signed_in()
                return _json(answers.whoami(self.hub))
            case ["api", "repos", "create"]:
                return _json(self._create(json.loads(body)))
            case ["api", "validate-yaml"]:
                return self._validate(json.loads(body)["content"])
            case ["api", "models", *rest] if rest:
                return self._model(rest, body)
            case ["lfs", name] if self.command == "PUT":
                self.hub.blobs[name] = body
                return 200, {}, b""
            case [*name, "info", "lfs", "objects", "batch"] if name[-1].endswith(".git"):
                return _json(answers.batch(self.hub, json.loads(body)))
            case [first, "resolve" | "raw" as how, revision, *path]:
                return self._file(first, how, revision, "/".join(path))
            case [first, second, "resolve" | "raw" as how, revision, *path]:
                return self._file(f"{first}/{second}", how, revision, "/".join(path))
        return self._unknown()

    def _unknown(self) -> tuple[int, dict[str, str], bytes]:
        self.hub.unknown.append((self.command, self.path))
        raise HubError(404, f"This server does not know {self.path}")

    def _signed_in(self) -> None:
        if self.headers.get(
            "Authorization"
        ) != f"Bearer {self.hub.token}" and not self.path_only.startswith("/lfs/"):
            raise HubError(401, "Invalid username or password.")

    def _create(self, asked: dict[str, Any]) -> dict[str, Any]:
        owner = asked.get("organization") or self.hub.user
        name = f"{owner}/{asked['name']}"
        if asked.get("type", "model") != "model":
            raise HubError(400, "This server keeps models only")
        if owner not in {self.hub.user, *self.hub.organizations}:
            raise HubError(
                403, f'You don\'t have the rights to create a model under the namespace "{owner}"'
            )
        address = {"url": f"{self.hub.url}/{name}", "name": name, "id": name}
        if name in self.hub.repositories:
            raise ConflictError(address)
        private = asked.get("private") is True or asked.get("visibility") == "private"
        self.hub.create(name, private=private)
        return address

    def _validate(self, text: str) -> tuple[int, dict[str, str], bytes]:
        from support.hub_server import Check

        errors, warnings = refusals(text)
        self.hub.checks.append(Check(text, tuple(errors), tuple(warnings)))
        said = {
            "errors": [{"message": message} for message in errors],
            "warnings": [{"message": message} for message in warnings],
        }
        if not errors:
            return _json(said)
        # The real answer has its sentences in the header too, which is what clients put into their
        # exception.
        return _json(
            {"error": "\n".join(errors), **said}, 400, {"X-Error-Message": "; ".join(errors)}
        )

    def _model(self, parts: list[str], body: bytes) -> tuple[int, dict[str, str], bytes]:  # noqa: PLR0911 - a table
        short = len(parts) == 1 or parts[1] in ACTIONS
        repo = self.hub.repo(parts[0] if short else "/".join(parts[:2]))
        match parts[1:] if short else parts[2:]:
            case [] | ["revision", _] as asked:
                return _json(answers.info(repo, repo.at(asked[1] if asked else "main")))
            case ["preupload", revision]:
                return _json(answers.modes(self.hub, repo.at(revision), json.loads(body)))
            case ["commit", revision]:
                return _json(self._commit(repo, revision, body))
            case ["commits", revision]:
                until = repo.at(revision)
                branch = next(one for one in repo.branches.values() if until in one)
                return _json(
                    [
                        answers.history(commit)
                        for commit in reversed(branch[: branch.index(until) + 1])
                    ]
                )
            case ["tree", revision, *folder]:
                return _json(
                    list(
                        answers.tree(
                            repo.at(revision), "/".join(folder), recursive="recursive" in self.query
                        )
                    )
                )
            case ["paths-info", revision]:
                wanted = answers.paths(body)
                return _json(
                    [
                        entry
                        for entry in answers.tree(repo.at(revision), "", recursive=True)
                        if entry["path"] in wanted
                    ]
                )
            case ["refs"]:
                return _json(answers.refs(repo))
        return self._unknown()

    def _commit(self, repo: Repo, revision: str, body: bytes) -> dict[str, Any]:
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        header = lines[0]["value"]
        head = repo.at(revision)
        if header.get("parentCommit") not in {None, head.sha}:
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        written = dict(_written(self.hub, lines[1:]))
        deleted = tuple(_deleted(head, lines[1:]))
        if "README.md" in written and (errors := refusals(written["README.md"].decode("utf-8"))[0]):
            raise HubError(400, "; ".join(errors))
        pull_request = "create_pr" in self.query
        branch = repo.pull_request() if pull_request else revision
        if branch not in repo.branches:
            raise HubError(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        made = repo.commit(
            header["summary"],
            written,
            description=header.get("description", ""),
            deleted=deleted,
            branch=branch,
        )
        address = f"{self.hub.url}/{repo.name}"
        number = branch.rsplit("/", 1)[-1]
        return {
            "success": True,
            "commitOid": made.sha,
            "commitUrl": f"{address}/commit/{made.sha}",
            "hookOutput": "",
            **({"pullRequestUrl": f"{address}/discussions/{number}"} if pull_request else {}),
        }

    def _file(
        self, name: str, how: str, revision: str, path: str
    ) -> tuple[int, dict[str, str], bytes]:
        commit = self.hub.repo(name).at(revision)
        if path not in commit.files:
            raise HubError(404, "Entry not found", "EntryNotFound")
        content = commit.files[path]
        headers = {
            "ETag": f'"{answers.name_of(self.hub, path, content)}"',
            "Content-Type": "text/plain; charset=utf-8",
        }
        if how == "resolve":
            headers["X-Repo-Commit"] = commit.sha
        return 200, headers, content


class ConflictError(HubError):
    """A repository that exists already; the answer holds its address."""

    def __init__(self, address: dict[str, Any]) -> None:
        super().__init__(409, "You already created this model repo")
        self.address = address


def _json(
    value: Any, status: int = 200, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    return (
        status,
        {"Content-Type": "application/json; charset=utf-8", **(headers or {})},
        json.dumps(value).encode(),
    )


def _refusal(error: HubError) -> tuple[int, dict[str, str], bytes]:
    headers = {"X-Error-Message": error.message}
    if error.code:
        headers["X-Error-Code"] = error.code
    address = error.address if isinstance(error, ConflictError) else {}
    return _json({"error": error.message, **address}, error.status, headers)


def _from_fault(fault: Fault) -> HubError:
    return HubError(fault.status or 500, fault.message)


def _written(hub: Hub, lines: list[dict[str, Any]]) -> Iterator[tuple[str, bytes]]:
    for line in lines:
        value = line["value"]
        if line["key"] == "file":
            yield value["path"], base64.b64decode(value["content"], validate=True)
        elif line["key"] == "lfsFile":
            content = hub.blobs.get(value["oid"])
            if content is None or hashlib.sha256(content).hexdigest() != value["oid"]:
                raise HubError(
                    400, f"LFS pointer pointed to a file that does not exist: {value['path']}"
                )
            yield value["path"], content


def _deleted(head: Commit, lines: list[dict[str, Any]]) -> Iterator[str]:
    for line in lines:
        path = line["value"].get("path", "")
        if line["key"] == "deletedFile":
            if path not in head.files:
                raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
            yield path
        elif line["key"] == "deletedFolder":
            yield path.rstrip("/") + "/"
