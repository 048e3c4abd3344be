"""The cards that the documentation shows, and how many words of each a reader sees.

The runs of `gallery_runs.py` lie in docs/gallery; two come from elsewhere: the demo, and a training
on two nodes that the contract tests keep.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from markdown_it import MarkdownIt

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_NO_TEXT = frozenset({"script", "style"})


@dataclass(frozen=True)
class GalleryRun:
    """One run of the gallery.

    Attributes:
        title: what it is.
        card: the file of its card.
    """

    title: str
    card: Path


def _trained(name: str) -> Path:
    return HERE / "gallery" / name / "README.md"


RUNS = {
    "lora": GalleryRun("LoRA, Trainer and PEFT (the demo)", ROOT / "examples" / "README.card.md"),
    "qlora": GalleryRun("QLoRA, 4-bit base, Trainer and PEFT", _trained("qlora")),
    "full": GalleryRun("Full fine-tuning, Trainer", _trained("full")),
    "sft": GalleryRun("Supervised fine-tuning, TRL", _trained("sft")),
    "dpo": GalleryRun("DPO with LoRA, TRL and PEFT", _trained("dpo")),
    "sentence_transformers": GalleryRun(
        "Embedding model, sentence-transformers", _trained("sentence_transformers")
    ),
    "two_nodes": GalleryRun(
        "Full fine-tuning on two nodes",
        ROOT / "tests" / "contract" / "cards" / "two-hosts.huggingface.md",
    ),
    "hand_written": GalleryRun("LoRA, into a card written by hand", _trained("hand_written")),
}


def card(name: str) -> str:
    """Return the text of a run's card."""
    return RUNS[name].card.read_text(encoding="utf-8")


def readme_part() -> str:
    """Return what the README shows of the demo's card: its beginning and its environment."""
    text = _FRONT_MATTER.sub("", card("lora"))
    beginning = text[: text.index("\n## ")]
    (environment,) = re.findall(r"(?ms)^## Environmental Impact\n.*?(?=^## )", text)
    return f"{beginning}\n\n{environment}"


class _VisibleText(HTMLParser):
    """Collects the text that a reader sees: no comments, nothing folded but its headline."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what is hidden from here on."""
        if tag in {"details", "summary"} | _NO_TEXT:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Note what ends."""
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Count words where they are seen."""
        folded = "details" in self._open and self._open[-1:] != ["summary"]
        if not folded and not _NO_TEXT & set(self._open):
            self.words += re.findall(r"\S*\w\S*", data)


def visible_words(text: str) -> int:
    """Return how many words of a card a reader sees before unfolding anything."""
    parser = _VisibleText()
    markdown = MarkdownIt("commonmark").enable("table")
    parser.feed(markdown.render(_FRONT_MATTER.sub("", text)))
    parser.close()
    return len(parser.words)
