"""What `check` says of a front matter that the Hub would refuse or would not read."""

from __future__ import annotations

import pytest
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from autocard.card.check.check import check
from autocard.card.check.hub_rules import problems
from autocard.card.check.usual_names import library_id, license_id, task_id
from autocard.card.hub_lists import LICENSES
from autocard.card.markdown.document import Document
from autocard.card.markdown.front_place import find_front_matter
from autocard.card.update import update
from support import records

LANGUAGES = {
    "zh-CN": ("zh", "zh-CN"),
    "es-ES": ("es", "es-ES"),
    "pt_BR": ("pt", "pt-BR"),
    "zh-Hans": ("zh", "zh-Hans"),
    "zh-Hant-TW": ("zh", "zh-Hant-TW"),
    "es-419": ("es", "es-419"),
    "en_unnorm": ("en", None),
    "EN": ("en", None),
    "English": ("en", None),
    "german": ("de", None),
    "Multilingual": ("multilingual", None),
    "jp": ("ja", None),
    "noinfo": (None, None),
    "xx": (None, None),
    "x": (None, None),
    "en-": (None, None),
}


@pytest.mark.parametrize("given", LANGUAGES)
def test_a_language_that_is_no_bare_code_is_refused_with_the_code_that_is_meant(given):
    code, tag = LANGUAGES[given]

    (found,) = problems(f"language: {given}\n")

    assert found.refused
    assert ("write `" in found.text) == (code is not None)
    assert code is None or f"write `{code}`" in found.text
    assert ("language_bcp47" in found.text) == (tag is not None)
    assert tag is None or f"`language_bcp47: {tag}`" in found.text


@pytest.mark.parametrize("given", ["en", "'no'", "deu", "ger", "ber", "code", "multilingual"])
def test_bare_codes_of_iso_639_pass(given):
    assert problems(f"language: [{given}]\nlanguage_bcp47: [zh-CN]\n") == []


def test_codes_in_one_string_are_to_become_a_list():
    (found,) = problems("language: en, de\n")

    assert "[en, de]" in found.text


SPELLINGS = {
    "MIT License": "mit",
    "The MIT License (MIT)": "mit",
    "Apache 2.0": "apache-2.0",
    "Apache License 2.0": "apache-2.0",
    "Apache License, Version 2.0": "apache-2.0",
    "apache-2": "apache-2.0",
    "GPLv3": "gpl-3.0",
    "GNU GPL v3": "gpl-3.0",
    "GNU General Public License v3.0": "gpl-3.0",
    "AGPL-3.0-or-later": "agpl-3.0",
    "LGPLv3": "lgpl-3.0",
    "CC BY 4.0": "cc-by-4.0",
    "CC-BY-NC-SA 4.0": "cc-by-nc-sa-4.0",
    "CC0": "cc0-1.0",
    "Creative Commons Attribution 4.0 International": "cc-by-4.0",
    "Creative Commons Attribution-NonCommercial 4.0": "cc-by-nc-4.0",
    "BSD 3-Clause": "bsd-3-clause",
    "3-Clause BSD License": "bsd-3-clause",
    "Llama 3 Community License": "llama3",
    "Llama 3.1 Community License Agreement": "llama3.1",
    "Mozilla Public License 2.0": "mpl-2.0",
    "Gemma Terms of Use": "gemma",
}
NO_PROPOSAL = [
    "CC-BY-4.0 AND Apache-2.0",
    "MIT/Apache-2.0",
    "MIT or Apache 2.0",
    "Apache 2.0 with LLVM exception",
    "Apache",
    "CC BY-NC",
    "CC BY-NC 5.0",
    "BSD 5-Clause",
    "MIT-0",
    "0BSD",
    "GPLv4",
    "Llama 5",
    "license",
    "free",
    "research only",
    "Tongyi Qianwen",
    "",
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_a_usual_spelling_of_a_license_gets_the_hubs_id(text):
    assert license_id(text) == SPELLINGS[text]
    assert f"is '{SPELLINGS[text]}' meant?" in problems(f"license: {text}\n")[0].text


@pytest.mark.parametrize("text", NO_PROPOSAL)
def test_a_license_that_is_not_certain_gets_no_proposal(text):
    assert license_id(text) is None


def test_each_id_of_the_hub_in_capitals_is_itself_or_nothing():
    assert {name: license_id(name.upper()) for name in LICENSES if license_id(name.upper())} == {
        name: name for name in LICENSES if license_id(name.upper())
    }


def test_libraries_and_tasks_have_no_proposal_by_likeness():
    assert library_id("pytorch") is library_id("tensorflow") is library_id("transformer") is None
    assert library_id("Sentence Transformers") == "sentence-transformers"
    assert task_id("text2text-generation") is None
    assert task_id("ASR") == "automatic-speech-recognition"


MISSPELLED = {
    "licence: license": "license",
    "licenses: mit": "license",
    "lang: en": "language",
    "langauge: en": "language",
    "datasets_used: [imdb]": "datasets",
    "base-model: a/b": "base_model",
    "Tags: [x]": "tags",
    "co2_emissions: 3": "co2_eq_emissions",
    "model_index: []": "model-index",
}


@pytest.mark.parametrize("yaml", MISSPELLED)
def test_a_misspelled_key_is_named_with_the_one_that_the_hub_reads(yaml):
    (found,) = problems(f"{yaml}\n")

    assert found.key == yaml.partition(":")[0]
    assert found.text == f"the Hub does not read this key: {MISSPELLED[yaml]}?"
    assert not found.refused


@pytest.mark.parametrize(
    "key", ["my_key", "model_name", "model_type", "quantized_by", "author", "license_details"]
)
def test_a_key_of_ones_own_is_no_misspelling(key):
    assert problems(f"{key}: x\n") == []


UNREAD = {
    "# M\n\n---\nlicense: mit\n---\n\ntext\n": (3, "other text stands before it"),
    "<!-- SPDX -->\n---\nlicense: mit\ntags:\n- x\n---\n# M\n": (2, "other text stands before it"),
    "Note.\n\n---\nlicense: mit\nlanguage: en\n---\n": (3, "other text stands before it"),
    "---\nlicense: mit\n...\n# M\n": (1, "it ends in `...`"),
    "---\nlicense: mit\n\n# M\n": (1, "it has no last line `---`"),
    "---\rlicense: mit\r---\r# M\r": (1, "carriage return"),
    "--- \nlicense: mit\n---\n# M\n": (1, "`---` and nothing else"),
    "```yaml\n---\nlicense: mit\n---\n```\n# M\n": (2, "code block"),
    "---\na: b\n---\n# M\n\n---\nlicense: mit\n---\n": (6, "the one at the top counts"),
}


@pytest.mark.parametrize("card", UNREAD)
def test_metadata_that_the_hub_does_not_read_is_pointed_at(card, tmp_path):
    line, why = UNREAD[card]
    (tmp_path / "README.md").write_bytes(card.encode())

    found = list(check(tmp_path / "README.md", None).front_matter)

    read = REGEX_YAML_BLOCK.search(card)
    assert read is None or "license" not in read[2]
    assert [(one.key, one.line, one.refused) for one in found] == [("metadata", line, False)]
    assert "license" in found[0].text
    assert why in found[0].text


@pytest.mark.parametrize(
    "card",
    [
        "---\nlicense: mit\n---\n# M\n",
        "\ufeff---\nlicense: mit\n---\n# M\n",
        "\n\n---\nlicense: mit\n--- \n# M\n",
        "---\rlicense: mit\r---\n# M\n",
        "---\rlicense: mit\r---",
        "# M\n\n---\n\nlicense is what it is\n\n---\n",
        "# M\n\nText\n---\n\nMore: text\n",
        "# M\n\n```\n---\nlicense: mit\n---\n```\n",
    ],
)
def test_what_the_hub_reads_or_what_is_text_is_not(card, tmp_path):
    (tmp_path / "README.md").write_bytes(card.encode())

    assert check(tmp_path / "README.md", None).front_matter == []


PIECES = ["---", "\n", "\r", "\r\n", " ", "a: b", "", "...", "x"]


def test_the_front_matter_is_where_the_hubs_pattern_finds_it():
    import itertools

    read = 0
    for pieces in itertools.product(PIECES, repeat=5):
        text = "---" + "".join(pieces) + "---\n"
        place, body = find_front_matter(text, 0)
        match = REGEX_YAML_BLOCK.match(text)
        if match is None or not match[2]:
            assert place is None or not text[slice(*place)].strip()
            continue
        if match[1].endswith("\r") and match[2].startswith("\n"):
            continue
        read += 1
        assert place is not None
        assert (text[slice(*place)].rstrip("\r\n"), body) == (match[2].rstrip("\r\n"), match.end())
    assert read > 1000


@pytest.mark.parametrize(
    "head", ["<!-- SPDX -->\n---\nlicense: mit\n---\n", "Words.\n\n---\nlicense: mit\n---\n"]
)
def test_a_block_of_yaml_is_no_heading_and_no_style_of_headings(head, tmp_path):
    card = tmp_path / "README.md"
    card.write_text(f"{head}# M\n\ntext\n", encoding="utf-8")

    update(card, records.lora_on_cpu())

    text = card.read_text(encoding="utf-8")
    assert head in text
    assert "## Training Details" in text
    assert "Training Details\n---" not in text
    titles = [section.heading.title for section in Document(text).sections if section.heading]
    assert "license: mit" not in titles


def test_a_license_that_a_person_gave_in_words_is_still_no_heading_of_two_rules():
    document = Document("# M\n\nSome text\n---\n\nmore\n")

    assert [section.level for section in document.sections] == [0, 1, 2]
