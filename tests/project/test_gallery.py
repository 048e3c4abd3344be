"""The cards that the documentation shows, and their pictures: as a browser shows them, on a page and on a phone."""

from __future__ import annotations

import json
import re
import sys

import pytest
from PIL import Image

from support import ROOT, rendering

DOCS = ROOT / "docs"
IMAGES = DOCS / "images"
CARDS = sorted((ROOT / "tests" / "contract" / "cards").glob("*.huggingface.md"))
STORIES = sorted((ROOT / "tests" / "contract" / "stories").glob("*/after.md"))
NAMES = (
    "lora",
    "qlora",
    "full",
    "sft",
    "dpo",
    "sentence_transformers",
    "two_nodes",
    "hand_written",
)
PHONE_PX = 390

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documents are not beside the tests")

in_a_browser = pytest.mark.skipif(rendering.browser() is None, reason="there is no Chromium")


@pytest.fixture(scope="module")
def docs():
    before = list(sys.path)
    sys.path.insert(0, str(DOCS))
    import gallery
    import make_screenshots

    yield gallery, make_screenshots
    sys.path[:] = before


def test_the_gallery_has_the_eight_kinds_of_runs(docs):
    gallery, _ = docs

    assert tuple(gallery.RUNS) == NAMES


def test_hidden_and_folded_words_are_not_counted_as_visible(docs):
    gallery, _ = docs
    card = """---
license: mit
---
# Two words

<!-- not these -->

- **One:** `two` three

<details><summary>These two</summary>

Not these, nor <b>these</b>.

</details>

| a | 1 |
| --- | --- |
| b | 2 |
"""

    assert gallery.visible_words(card) == 2 + 3 + 2 + 4


@pytest.mark.browser
@in_a_browser
@pytest.mark.parametrize("name", NAMES)
def test_a_card_of_the_gallery_fits_a_phone_and_reads_as_it_was_meant(name, docs, tmp_path):
    gallery, screenshots = docs
    card = gallery.card(name)

    measured = screenshots.shown(card, PHONE_PX, tmp_path)

    assert measured["overflow"] == 0
    _reads_well(card, measured["text"])
    seen = len(re.findall(r"\S*\w\S*", measured["text"]))
    assert gallery.visible_words(card) == pytest.approx(seen, rel=0.03)


@pytest.mark.browser
@in_a_browser
def test_the_cards_of_the_contract_fit_a_phone_and_read_as_they_were_meant(docs, tmp_path):
    _, screenshots = docs

    for path in [*CARDS, *STORIES]:
        card = path.read_text(encoding="utf-8")
        measured = screenshots.shown(card, PHONE_PX, tmp_path)
        assert measured["overflow"] == 0, path
        _reads_well(card, measured["text"])


def _reads_well(card, text):
    """Nothing raw is seen, and no table of the card stands in a fence."""
    assert rendering.raw_markdown(rendering.body_of(card)) == []
    assert not re.search(r"</?(details|summary|picture|code|p)\b", text)
    fences = [token for token in rendering.parser().parse(card) if token.type == "fence"]
    assert [one.content for one in fences if re.search(r"(?m)^\|[ :-]+\|", one.content)] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_card_of_the_gallery_has_its_pictures(name):
    sizes, shades = {}, {}
    for view in ("wide", "phone", "dark"):
        with Image.open(IMAGES / f"{name}_{view}.png") as picture:
            sizes[view] = picture.size
            shades[view] = picture.convert("L").getpixel((2, 2))

    assert sizes["wide"] == sizes["dark"]
    assert sizes["phone"][0] == PHONE_PX
    assert shades["wide"] > 200
    assert shades["dark"] < 60


def test_the_pictures_are_small_and_each_is_used():
    used = "".join(
        path.read_text(encoding="utf-8") for path in [*DOCS.glob("*.md"), ROOT / "README.md"]
    )

    assert sum(path.stat().st_size for path in IMAGES.iterdir()) <= 3_000_000
    assert [path.name for path in IMAGES.iterdir() if f"images/{path.name}" not in used] == []


def test_the_words_of_0_1_0_are_there_for_each_run():
    before = json.loads((DOCS / "gallery" / "words_0.1.0.json").read_text(encoding="utf-8"))

    assert tuple(before) == NAMES
