"""Proposals for what only a person can decide: license, developers, citation. Only on request.

One rule: every proposal is marked as one, with its source, so that it is not taken for a person's
statement; nothing is requested over the network.
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
"""The mark of each proposal, until a person has replaced it by their own words."""

_GIT_S = 5.0
_SHA = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[\w.-]+(?:/[\w.-]+)?")
"""`gpt2`, `org/model`: what can be a folder of the cache."""


def suggestions(record: RunRecord, folder: Path) -> dict[str, Fact]:
    """Return proposals for the card in *folder*, by fact; a fact that a person gave has none."""
    author = _git_author(folder)
    developers = None
    if author:
        developers = Fact(f"{escape(author)} ({MARK}: the author in this machine's git)")
    found = {
        "license": _license(record),
        "developers": developers,
        "citation_bibtex": _citation(record, author),
        "model_card_authors": developers,
    }
    given = {name for name, value in record.facts.items() if value}
    return {name: fact for name, fact in found.items() if fact is not None and name not in given}


def kept(remembered: Mapping[str, str], card: str) -> dict[str, Fact]:
    """Return the proposals that stand in *card*, so that a fill without proposals leaves them.

    A card may have one in both shapes: on a line, and as a block below a heading.
    """
    lines: dict[str, str] = {}
    blocks: dict[str, str] = {}
    card = card.replace("\r\n", "\n")
    for name, text in remembered.items():
        is_proposal = is_text(name) and MARK in text
        if is_proposal and text.replace("\r\n", "\n") in card:
            shape = blocks if "\n" in text else lines
            shape.setdefault(fact_of(name), text)
    return {
        name: Fact(lines.get(name) or plain(blocks[name]), blocks.get(name))
        for name in sorted({*lines, *blocks})
    }


def _license(record: RunRecord) -> Fact | None:
    """Return the license of the base model's card in this machine's cache of the Hub."""
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
    """Return the card of the model *base* in this machine's cache of the Hub; None: none is."""
    if not _HUB_ID.fullmatch(base) or ".." in base:
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
    """Return huggingface_hub's folder of downloads (its constants.py), without importing it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    home = Path(os.environ.get("HF_HOME") or cache / "huggingface")
    return expanded(Path(os.environ.get("HF_HUB_CACHE") or home / "hub"))


def _git_author(folder: Path) -> str | None:
    """Return the name that git would put under a commit in *folder*, without the e-mail address."""
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
    """Return BibTeX from what a person gave and the record has; None without author or model."""
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
