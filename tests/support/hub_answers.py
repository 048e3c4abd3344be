"""The Hub's answers as JSON: models, files, commits, branches, and how to upload a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from support.hub_store import Commit, Repo, is_large, oid

if TYPE_CHECKING:
    from support.hub_server import Hub


def whoami(hub: Hub) -> dict[str, Any]:
    return {
        "type": "user",
        "id": "1",
        "name": hub.user,
        "fullname": hub.user,
        "isPro": False,
        "orgs": [{"type": "org", "name": name, "fullname": name} for name in hub.organizations],
        "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": "write"}},
    }


def info(repo: Repo, commit: Commit) -> dict[str, Any]:
    date = repo.commits[0].date.isoformat().replace("+00:00", "Z")
    return {
        "_id": oid(repo.name.encode())[:24],
        "id": repo.name,
        "modelId": repo.name,
        "author": repo.name.split("/")[0],
        "sha": commit.sha,
        "private": repo.private,
        "disabled": False,
        "gated": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "createdAt": date,
        "lastModified": commit.date.isoformat().replace("+00:00", "Z"),
        "xetEnabled": False,
        "siblings": [{"rfilename": path} for path in sorted(commit.files)],
    }


def modes(hub: Hub, commit: Commit, asked: dict[str, Any]) -> dict[str, Any]:
    files = []
    for file in asked["files"]:
        path = file["path"]
        there = commit.files.get(path)
        files.append(
            {
                "path": path,
                "uploadMode": "lfs"
                if hub.large_files and is_large(path, file["size"])
                else "regular",
                "shouldIgnore": False,
                "oid": None if there is None else name_of(hub, path, there),
            }
        )
    return {"files": files, "commitOid": commit.sha}


def batch(hub: Hub, asked: dict[str, Any]) -> dict[str, Any]:
    objects = []
    for one in asked["objects"]:
        entry = {"oid": one["oid"], "size": one["size"], "authenticated": True}
        if one["oid"] not in hub.blobs:
            entry["actions"] = {"upload": {"href": f"{hub.url}/lfs/{one['oid']}", "header": {}}}
        objects.append(entry)
    return {"transfer": "basic", "objects": objects}


def history(commit: Commit) -> dict[str, Any]:
    return {
        "id": commit.sha,
        "title": commit.message,
        "message": commit.description,
        "authors": [{"user": "me"}],
        "date": commit.date.isoformat().replace("+00:00", "Z"),
    }


def tree(commit: Commit, folder: str, *, recursive: bool) -> Iterator[dict[str, Any]]:
    start = f"{folder}/" if folder else ""
    folders: set[str] = set()
    for path, content in sorted(commit.files.items()):
        if not path.startswith(start):
            continue
        inner = path[len(start) :].split("/")
        for depth in range(1, len(inner) if recursive else min(len(inner), 2)):
            name = start + "/".join(inner[:depth])
            if name not in folders:
                folders.add(name)
                yield {"type": "directory", "oid": oid(name.encode()), "size": 0, "path": name}
        if recursive or len(inner) == 1:
            yield {"type": "file", "oid": oid(content), "size": len(content), "path": path}


def paths(body: bytes) -> set[str]:
    """The paths that are asked for, from JSON (huggingface_hub 2.4) or a form (0.36)."""
    if body.startswith(b"{"):
        return set(json.loads(body)["paths"])
    return set(parse_qs(body.decode()).get("paths", []))


def refs(repo: Repo) -> dict[str, Any]:
    listed = [
        {
            "name": name,
            "ref": name if "/" in name else f"refs/heads/{name}",
            "targetCommit": commits[-1].sha,
        }
        for name, commits in repo.branches.items()
    ]
    return {
        "branches": [entry for entry in listed if entry["ref"].startswith("refs/heads/")],
        "pullRequests": [entry for entry in listed if entry["ref"].startswith("refs/pr/")],
        "converts": [],
        "tags": [],
    }


def name_of(hub: Hub, path: str, content: bytes) -> str:
    """What the Hub calls a file's content: git's name, or the sha256 of what is kept beside git."""
    large = hub.large_files and is_large(path, len(content))
    return hashlib.sha256(content).hexdigest() if large else oid(content)
