"""Usual spellings of licenses, libraries and tasks, and the Hub's id for each.

One rule: no guesses. A spelling is in a table, or differs from an id only in capitals, blanks and
punctuation; anything else has no proposal, because a wrong license is worse than none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from autocard.card.hub_lists import LIBRARIES, LICENSES, PIPELINE_TAGS

_COMPOUND = re.compile(r"[/,;&|]|\b(?:and|or|with|plus|dual|except)\b")
"""Several licenses, or one with an exception: `CC-BY-4.0 AND Apache-2.0`."""
_OR_LATER = re.compile(r"[- ](?:or[- ]later|only)\b|\+$")
"""Endings of SPDX that the Hub's ids do not have: `AGPL-3.0-or-later`."""
_PHRASES = (
    ("creative commons", "cc"),
    ("no derivatives", "nd"),
    ("noderivatives", "nd"),
    ("noderivs", "nd"),
    ("non commercial", "nc"),
    ("noncommercial", "nc"),
    ("share alike", "sa"),
    ("sharealike", "sa"),
    ("attribution", "by"),
    ("lesser general public", "lgpl"),
    ("affero general public", "agpl"),
    ("general public", "gpl"),
    ("mozilla public", "mpl"),
    ("european union public", "eupl"),
    ("zero", "0"),
)
"""Words of a license's full name, and how its id has them."""
_FILLERS = frozenset(
    (
        "a",
        "agreement",
        "community",
        "generic",
        "gnu",
        "international",
        "licence",
        "license",
        "licensed",
        "meta",
        "model",
        "of",
        "software",
        "terms",
        "the",
        "under",
        "universal",
        "unported",
        "use",
        "version",
    )
)
"""Words that do not tell one license from another."""
_LICENSES = {
    "expat": "mit",
    "mit expat": "mit",
    "apache 2": "apache-2.0",
    "apache2": "apache-2.0",
    "asl 2.0": "apache-2.0",
    "gpl 3": "gpl-3.0",
    "gpl 2": "gpl-2.0",
    "gpl3": "gpl-3.0",
    "gpl2": "gpl-2.0",
    "lgpl 3": "lgpl-3.0",
    "lgpl3": "lgpl-3.0",
    "agpl 3": "agpl-3.0",
    "agpl3": "agpl-3.0",
    "mpl 2": "mpl-2.0",
    "bsd 2": "bsd-2-clause",
    "bsd 3": "bsd-3-clause",
    "2 clause bsd": "bsd-2-clause",
    "3 clause bsd": "bsd-3-clause",
    "new bsd": "bsd-3-clause",
    "modified bsd": "bsd-3-clause",
    "simplified bsd": "bsd-2-clause",
    "cc0": "cc0-1.0",
    "cc 0": "cc0-1.0",
    "cc 0 1.0": "cc0-1.0",
    "cc by 4": "cc-by-4.0",
    "cc by sa 4": "cc-by-sa-4.0",
    "cc by nc 4": "cc-by-nc-4.0",
    "cc by nd 4": "cc-by-nd-4.0",
    "cc by nc sa 4": "cc-by-nc-sa-4.0",
    "cc by nc nd 4": "cc-by-nc-nd-4.0",
    "boost 1.0": "bsl-1.0",
    "boost software 1.0": "bsl-1.0",
    "sil open font 1.1": "ofl-1.1",
    "open font 1.1": "ofl-1.1",
    "custom": "other",
    "proprietary": "other",
}
"""Names, as `_license_words` returns them, that are not an id in other letters."""
_LIBRARIES = {
    "huggingfacetransformers": "transformers",
    "hftransformers": "transformers",
    "scikitlearn": "sklearn",
    "sbert": "sentence-transformers",
    "openclip": "open_clip",
    "nvidianemo": "nemo",
}
"""Other names of libraries, as `_letters` returns them."""
_TASKS = {
    "asr": "automatic-speech-recognition",
    "speechrecognition": "automatic-speech-recognition",
    "tts": "text-to-speech",
    "ner": "token-classification",
    "namedentityrecognition": "token-classification",
    "sentimentanalysis": "text-classification",
    "sequenceclassification": "text-classification",
    "causallm": "text-generation",
    "conversational": "text-generation",
    "maskedlm": "fill-mask",
    "embeddings": "feature-extraction",
    "vqa": "visual-question-answering",
}
"""Other names of tasks, as `_letters` returns them."""


def license_id(text: str) -> str | None:
    """Return the Hub's id of the license that *text* names; None: it is not certain.

    >>> license_id("Apache License, Version 2.0"), license_id("CC BY-NC-SA 4.0")
    ('apache-2.0', 'cc-by-nc-sa-4.0')
    """
    spelled = unicodedata.normalize("NFKC", text).lower().strip()
    spelled = re.sub(r",? +version", " version", _OR_LATER.sub("", spelled))
    if _COMPOUND.search(spelled):
        return None
    words = _license_words(spelled)
    return _LICENSES.get(words) or _license_ids().get(words.replace(" ", ""))


def _license_words(spelled: str) -> str:
    """Return the words that tell one license from another, as in "cc by nc sa 4.0"."""
    text = " ".join(re.sub(r"\([^()]*\)|[-_]|\.(?!\d)", " ", spelled).split())
    for phrase, short in _PHRASES:
        text = re.sub(rf"\b{phrase}\b", short, text)
    text = re.sub(r"\bv(?:ersion)?\.? ?(?=\d)|(?<=gpl)v(?=\d)", " ", text)
    return " ".join(word for word in text.split() if word not in _FILLERS)


def _license_ids() -> dict[str, str]:
    found = {}
    for name in LICENSES - {"other", "unknown", "cc", "gpl", "lgpl"}:
        found[_license_words(name).replace(" ", "")] = name
    return found


def library_id(text: str) -> str | None:
    """Return the Hub's id of the library that *text* names; None: it is not certain."""
    return _LIBRARIES.get(_letters(text)) or _spelled_otherwise(text, LIBRARIES)


def task_id(text: str) -> str | None:
    """Return the Hub's pipeline tag for *text*; None: it is not certain."""
    return _TASKS.get(_letters(text)) or _spelled_otherwise(text, PIPELINE_TAGS)


def _spelled_otherwise(text: str, known: Iterable[str]) -> str | None:
    wanted = _letters(text)
    return next((name for name in sorted(known) if _letters(name) == wanted), None)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", unicodedata.normalize("NFKC", text).lower())
