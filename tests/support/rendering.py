"""How cards are shown: parsed as CommonMark with tables, and in a real browser.

Shares no code with autocard: it reads the files that are left on disk, the card and the `slots`
beside it. `Watch` (conftest.py) looks at each card that the tests' own process writes.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

RECORD_NAME = "autocard.json"
NO_TEXT = ("yaml:", "hidden:", "place:", "added:", "was:")
"""What the names in `slots` begin with that are no text of a fact."""
_FRONT_MATTER = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n.*?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_RAW_BOLD = re.compile(r"(?<![*\s])\*\*(?!\*)|(?<!\*)\*\*(?![*\s])")
"""Two stars beside a word, such as `**bold`; a name may hold stars that stand alone."""
_RAW_TABLE = re.compile(r"\|\s*:?-{3,}:?\s*\|")
_RAW_HEADING = re.compile(r"#{1,6} \S")
_LEAVES = {"fence": "code", "code_block": "code", "html_block": "html", "hr": "rule"}


def parser() -> MarkdownIt:
    """Return CommonMark with tables and raw HTML, as the Hub and GitHub read cards."""
    return MarkdownIt("commonmark").enable("table")


def body_of(card: str) -> str:
    """Return *card* without its front matter, "\\n" between its lines."""
    return _FRONT_MATTER.sub("", card).replace("\r\n", "\n")


def kinds(text: str) -> list[str]:
    """Return for each line of *text* what it is: words, heading, table, code, html, rule, or "" for nothing."""
    found = [""] * (text.count("\n") + 1)
    above = ""
    in_table = False
    for token in parser().parse(text):
        in_table = in_table != (token.type in ("table_open", "table_close"))
        kind = _LEAVES.get(token.type)
        if token.type == "inline":
            kind = "heading" if above == "heading_open" else "words"
        if token.type == "table_open":
            kind = "table"
        if kind and token.map and (kind == "table" or not in_table):
            found[token.map[0] : token.map[1]] = [kind] * (token.map[1] - token.map[0])
        above = token.type
    lines = text.split("\n")
    return [kind if line.strip() else "" for kind, line in zip(found, lines, strict=False)]


def raw_markdown(text: str) -> list[str]:
    """Return what a reader of *text* sees that was meant as Markdown: bold, tables or headings that were not parsed."""
    found = []
    for token in parser().parse(text):
        if token.type != "inline" or "\\" in token.content:
            # Escaped characters are meant to be seen.
            continue
        shown = "".join(
            child.content if child.type == "text" else "\n" for child in token.children or []
        )
        found += [line for line in shown.split("\n") if _is_raw(line)]
    return found


def _is_raw(line: str) -> bool:
    return (
        _RAW_BOLD.search(line) is not None
        or _RAW_TABLE.search(line) is not None
        or _RAW_HEADING.match(line) is not None
    )


def problems(card: str, slots: dict[str, str]) -> list[str]:
    """Return what is shown otherwise than it was written: each text of *slots* as it reads alone, and our headings."""
    body = body_of(card)
    there = kinds(body)
    found = []
    for name, text in slots.items():
        if name.startswith("added:"):
            if not any("heading" in there[first : first + 2] for first in _lines_of(body, text)):
                found.append(f"{name}: the heading {text!r} is not shown as one")
        elif not name.startswith(NO_TEXT):
            found += [f"{name}: raw Markdown {line!r}" for line in raw_markdown(text)]
            alone = kinds(text.replace("\r\n", "\n"))
            places = _lines_of(body, text) if len(alone) > 1 else []
            if places and not any(there[first : first + len(alone)] == alone for first in places):
                found.append(f"{name}: is not shown as it reads alone: {text[:60]!r}")
    return found


def _lines_of(body: str, text: str) -> list[int]:
    """Return the numbers of the lines at which *text* begins as whole lines."""
    text = text.replace("\r\n", "\n")
    found = []
    at = body.find(text)
    while at >= 0:
        if at == 0 or body[at - 1] == "\n":
            found.append(body.count("\n", 0, at))
        at = body.find(text, at + 1)
    return found


@dataclass
class Watch:
    """Check each card when the record beside it is written."""

    broken: list[str] = field(default_factory=list)
    looks: int = 0

    def install(self, patch: Any) -> None:
        """Look at every record that `autocard.files` writes, and at the cards beside it; *patch*: a MonkeyPatch."""
        import autocard.files

        write_text = autocard.files.write_text

        def watched(path: Path, text: str, *arguments: Any, **named: Any) -> Any:
            done = write_text(path, text, *arguments, **named)
            if Path(path).name == RECORD_NAME:
                self.look(Path(path).parent, text)
            return done

        patch.setattr(autocard.files, "write_text", watched)

    def look(self, folder: Path, record: str) -> None:
        """Look at the cards in *folder* that *record* remembers."""
        for name, slots in json.loads(record).get("slots", {}).items():
            card = folder / name
            if " (being written)" in record or not card.is_file():
                continue
            try:
                text = card.read_text(encoding="utf-8")
            except UnicodeDecodeError:  # a person's, which is left alone
                continue
            self.looks += 1
            self.broken += [f"{name}: {problem}" for problem in problems(text, slots)]


# -- a real browser --------------------------------------------------------------------------------

CSS = """
body { font: 16px/1.5 sans-serif; margin: 16px; overflow-wrap: break-word; }
table { display: block; width: max-content; max-width: 100%; overflow: auto; border-collapse: collapse; }
td, th { border: 1px solid #999; padding: 6px 13px; }
pre { overflow: auto; background: #eee; padding: 16px; }
img { max-width: 100%; }
code { background: #eee; }
"""
"""What GitHub's style sheet does about width: wide tables and code scroll in their own box."""

_MEASURE = """
const told = document.createElement('pre');
told.id = 'measured';
const page = document.documentElement;
const wide = [...document.body.querySelectorAll('*')].filter(one => {
  for (let up = one; up; up = up.parentElement)
    if (['PRE', 'TABLE'].includes(up.tagName)) return false;
  return one.getBoundingClientRect().right > page.clientWidth + 1;
});
for (const one of document.querySelectorAll('details')) one.open = true;
told.textContent = JSON.stringify({
  text: document.body.innerText,
  pre: [...document.querySelectorAll('pre')].map(one => one.innerText),
  tables: document.querySelectorAll('table').length,
  headings: [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(one => one.innerText),
  overflow: page.scrollWidth - page.clientWidth,
  wide: wide.map(one => one.outerHTML.slice(0, 120)),
});
document.body.append(told);
"""


def browser() -> str | None:
    """Return the Chromium of this machine, or None."""
    return (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )


def page(card: str) -> str:
    """Return *card* as a page, with a script that measures how it is shown."""
    shown = parser().render(body_of(card))
    head = f'<meta charset="utf-8"><style>{CSS}</style>'
    return f"<!doctype html><html><head>{head}</head><body>{shown}<script>{_MEASURE}</script></body></html>"


def chromium(arguments: list[str], folder: Path) -> str:
    """Run a headless Chromium whose profile is in *folder*; return what it prints."""
    found = browser()
    assert found is not None
    plain = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--hide-scrollbars",
    ]
    quiet = [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-extensions",
    ]
    command = [found, *plain, *quiet, f"--user-data-dir={folder / 'profile'}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    return done.stdout


def shown(card: str, folder: Path, *, width: int = 500) -> dict[str, Any]:
    """Return how a real browser shows *card* in a window that is *width* pixels wide."""
    path = folder / "card.html"
    path.write_text(page(card), encoding="utf-8")
    dom = chromium([f"--window-size={width},900", "--dump-dom", path.as_uri()], folder)
    measured = re.search(r'<pre id="measured">(.*?)</pre>', dom, re.DOTALL)
    assert measured is not None
    told: dict[str, Any] = json.loads(html.unescape(measured[1]))
    return told
