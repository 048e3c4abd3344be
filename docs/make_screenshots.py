"""Take pictures of the gallery's cards in a headless Chromium: wide, on a phone, dark.

Usage: python docs/make_screenshots.py [NAME]…; writes docs/images. Cards: `gallery.RUNS`, and the
part of the demo's card that stands at the top of the README. Pictures have a palette of few colors,
so they stay small.
"""

from __future__ import annotations

import html
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE)]

import gallery  # noqa: E402 - beside this file

from support import rendering  # noqa: E402 - the tests' Markdown parser and Chromium

IMAGES = HERE / "images"
CSS = (HERE / "card.css").read_text(encoding="utf-8")
HIGHEST_PX = 2400
"""Of a picture: what is below is cut off."""
COLORS = 48
DARK = "--blink-settings=preferredColorScheme=0"

# A window of Chromium is at least 500 pixels wide: narrower cards stand in a frame of their width.
_PAGE = """<!doctype html><meta charset="utf-8">
<style>body {{ margin: 0 }} iframe {{ border: 0; display: block }}</style>
<iframe style="width: {width}px; height: 100px" srcdoc="{card}"></iframe>
<script>
const frame = document.querySelector('iframe');
frame.onload = () => {{
  const page = frame.contentDocument.documentElement;
  frame.style.height = page.scrollHeight + 'px';
  document.body.dataset.measured = JSON.stringify({{
    height: page.scrollHeight,
    overflow: page.scrollWidth - page.clientWidth,
    text: page.innerText,
  }});
}};
</script>
"""


@dataclass(frozen=True)
class View:
    """How a card is looked at."""

    suffix: str
    width_px: int
    dark: bool = False


VIEWS = (View("wide", 960), View("phone", 390), View("dark", 960, dark=True))
README_VIEWS = (View("", 720), View("dark", 720, dark=True))


def shown(card: str, width_px: int, folder: Path) -> dict[str, Any]:
    """Return height, overflow and visible text of *card* on a page of that width."""
    page = _write(card, width_px, folder)
    dom = rendering.chromium([_window(width_px, 900), "--dump-dom", page.as_uri()], folder)
    (found,) = re.findall(r'data-measured="([^"]*)"', dom)
    measured: dict[str, Any] = json.loads(html.unescape(found))
    return measured


def picture(card: str, view: View, to: Path, folder: Path) -> None:
    """Write a picture of *card* to the file *to*."""
    height_px = min(shown(card, view.width_px, folder)["height"], HIGHEST_PX)
    page = _write(card, view.width_px, folder)
    shot = folder / "shot.png"
    how = [_window(view.width_px, height_px), f"--screenshot={shot}"]
    rendering.chromium([*how, *([DARK] if view.dark else []), page.as_uri()], folder)
    with Image.open(shot) as whole:
        part = whole.convert("RGB").crop((0, 0, view.width_px, height_px))
        part.quantize(COLORS, dither=Image.Dither.NONE).save(to, optimize=True)


def _write(card: str, width_px: int, folder: Path) -> Path:
    body = rendering.parser().render(rendering.body_of(card))
    inner = f'<!doctype html><meta charset="utf-8"><style>{CSS}</style>{body}'
    page = folder / "card.html"
    text = _PAGE.format(width=width_px, card=html.escape(inner))
    page.write_text(text, encoding="utf-8")
    return page


def _window(width_px: int, height_px: int) -> str:
    return f"--window-size={max(width_px, 500)},{height_px}"


def main(names: list[str]) -> None:
    """Write the pictures of the runs *names*, or all."""
    IMAGES.mkdir(exist_ok=True)
    with TemporaryDirectory() as place:
        folder = Path(place)
        for name in names or gallery.RUNS:
            for view in VIEWS:
                picture(gallery.card(name), view, IMAGES / f"{name}_{view.suffix}.png", folder)
            print(name, flush=True)
        for view in README_VIEWS if not names else ():
            name = "_".join(filter(None, ("card", view.suffix)))
            picture(gallery.readme_part(), view, IMAGES / f"{name}.png", folder)


if __name__ == "__main__":
    main(sys.argv[1:])
