"""What a run says of a person's text in the places of its facts: in the words of the card."""

from __future__ import annotations

import logging

from autocard import AutoCardCallback
from support import training

CARD = """---
language:
- en
---

# Model

- **Hours used:** three
"""


def test_a_person_s_texts_are_named_by_label_and_line_with_both_texts(tmp_path, caplog):
    (tmp_path / "README.md").write_text(CARD, encoding="utf-8")
    ours = AutoCardCallback(facts={"language": ["en", "de"]}, emissions=False)

    with caplog.at_level(logging.WARNING, "autocard"):
        training.trainer(tmp_path, callbacks=[ours], max_steps=1).train()

    (message,) = [text for text in caplog.messages if "and kept" in text]
    assert '"front matter: language" in line' in message
    assert '(there: ["en"]; this run: ["en", "de"])' in message
    assert '"Hours used" in line 8 (there: three; this run: ' in message
    assert "yaml:" not in message
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "- **Hours used:** three\n" in card
    assert card.startswith("---\nlanguage:\n- en\n")
