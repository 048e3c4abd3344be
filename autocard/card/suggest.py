"""What a machine can propose and only a person can say: licence, developers, citation. Only when it is asked for.

One rule: every proposal says that it is one and where it is from, so that nobody takes it for
somebody's word; nothing is asked over the network.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from autocard import commands
from autocard.card.fact import Fact, escape, plain
from autocard.card.fill.written_text import fact_of, is_text
from autocard.card.front.yaml_keys import front_values
from autocard.files import expanded, read_text
from autocard.record import RunRecord

MARK = "suggested, please check"
"""What each proposal bears until a person has taken it over in words of their own."""

_GIT_S = 5.0
_SHA = re.compile(r"[0-9a-f]{40}")


def suggestions(record: RunRecord, folder: Path) -> dict[str, Fact]:
    """Return what can be proposed for the card in *folder*, by fact; what a person gave is not proposed."""
    author = _git_author(folder)
    found: dict[str, Fact | None] = {
        "license": _licence(record),
        "developers": Fact(f"{escape(author)} ({MARK}: the author in this machine's git)")
        if author
        else None,
        "citation_bibtex": _citation(record, author),
    }
    if author:
        found["model_card_authors"] = found["developers"]
    return {
        name: fact
        for name, fact in found.items()
        if fact is not None and not record.facts.get(name)
    }


def kept(remembered: Mapping[str, str], card: str) -> dict[str, Fact]:
    """Return the proposals that stand in *card* already, so that a fill that proposes nothing leaves them.

    A card may hold one in both shapes: on a line, and as a block below a heading.
    """
    lines: dict[str, str] = {}
    blocks: dict[str, str] = {}
    there = card.replace("\r\n", "\n")
    for name, text in remembered.items():
        if is_text(name) and MARK in text and text.replace("\r\n", "\n") in there:
            (blocks if "\n" in text else lines).setdefault(fact_of(name), text)
    return {
        name: Fact(lines.get(name) or plain(blocks[name]), blocks.get(name))
        for name in sorted({*lines, *blocks})
    }


def _licence(record: RunRecord) -> Fact | None:
    """Return the licence of the base model's card, as this machine's cache of the Hub has it."""
    base = record.model.base_model
    text = base_card(base, record.model.base_model_revision) if base else None
    data = front_values(text, ["license", "license_name"]) if text is not None else {}
    licence = data.get("license")
    if licence == "other":
        licence = data.get("license_name") or licence
    if not isinstance(licence, str) or not licence.strip():
        return None
    return Fact(f"{escape(licence)} ({MARK}: the licence of the base model {escape(base or '')})")


def base_card(base: str, revision: str | None) -> str | None:
    """Return the card of the model *base* from this machine's cache of the Hub; None: it is not there."""
    if not re.fullmatch(r"[\w.-]+(?:/[\w.-]+)?", base) or ".." in base:
        return None
    folder = _cache() / ("models--" + base.replace("/", "--"))
    try:
        commit = revision or read_text(folder / "refs" / "main").strip()
        if not _SHA.fullmatch(commit):
            return None
        return read_text(folder / "snapshots" / commit / "README.md")
    except (OSError, UnicodeDecodeError):
        return None


def _cache() -> Path:
    """Return where huggingface_hub keeps what it downloaded (its constants.py), without importing it."""
    environ = os.environ
    home = Path(
        environ.get("HF_HOME") or Path(environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    )
    return expanded(Path(environ.get("HF_HUB_CACHE") or home / "hub"))


def _git_author(folder: Path) -> str | None:
    """Return the name that git would put under a commit in *folder*; no address, which is nobody's business."""
    if not folder.is_dir():
        return None
    command = ["git", "-C", str(folder), "config", "user.name"]
    try:
        done = commands.run(command, _GIT_S)
    except (OSError, subprocess.SubprocessError):
        return None
    name = plain(done.out.decode("utf-8", errors="replace"))
    return name if done.status == 0 and name else None


def _citation(record: RunRecord, author: str | None) -> Fact | None:
    """Return BibTeX from what a person gave and the run knows; None without a name of author and model."""
    given = record.facts.get("developers")
    who = plain(str(given)) if given else author
    name, ended = record.model.name, record.run.ended_at or record.run.started_at
    if not who or not name or not ended:
        return None
    key = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"
    entries = {"title": name, "author": who, "year": str(ended)[:4]}
    if "/" in name:
        entries["url"] = f"https://huggingface.co/{name}"
    entries["note"] = MARK
    lines = [
        f"  {label} = {{{re.sub(r'[{}`]', '', plain(value))}}}," for label, value in entries.items()
    ]
    block = "\n".join(["```bibtex", f"@misc{{{key},", *lines, "}", "```"])
    return Fact(f"{escape(who)}: {escape(name)} ({MARK})", block)
