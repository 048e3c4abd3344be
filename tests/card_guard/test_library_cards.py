"""Cards that TRL and sentence-transformers write by themselves are the form of ours: nothing of them is lost or said twice.

Every card is that of a real training; the library's own is written by the same training without
autocard. Cards are read by markdown-it-py and PyYAML alone.
"""

from __future__ import annotations

import importlib.metadata
import re

import pytest
import yaml
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from autocard import AutoCardCallback
from autocard.cli import app
from support.card_writers import BASE, HOSTS, quiet

pytest_plugins = ["support.hub_fixtures"]

WITH_CARDS = [
    "TRL SFT",
    "TRL SFT + PEFT",
    "TRL DPO",
    "TRL Reward",
    "TRL GRPO",
    "sentence-transformers",
]
RARE = {"learning_rate": 3.7e-5, "seed": 97, "max_steps": 6, "logging_steps": 2}
"""Settings whose values stand nowhere else by chance."""
CHAT = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
FALSE = ("[None]", "/None)", '"None"', "for None", "licence:", '_model_id"', "None dataset")
WORDS = "What this model is for, only I can know."


def made(name, folder, *callbacks, chat=False, **settings):
    """Return a trainer of the host called *name*, whose output folder is `out` in *folder*."""
    plain = {**RARE, "eval_strategy": "steps", "eval_steps": 3, "save_strategy": "no"}
    with quiet():
        trainer = HOSTS[name].make(
            folder / "base", folder / "out", list(callbacks), **{**plain, **settings}
        )
    if chat:
        trainer.processing_class.chat_template = CHAT
    return trainer


def autocard(**settings):
    return AutoCardCallback(base_model=BASE, country_iso_code="FRA", **settings)


def card(folder) -> str:
    return (folder / "out" / "README.md").read_text(encoding="utf-8")


def trained(name, folder, *callbacks, save=True, **settings):
    trainer = made(name, folder, *callbacks, **settings)
    with quiet():
        trainer.train()
        if save:
            trainer.save_model()
    return trainer


def of_the_library(name, folder, **settings) -> str:
    """Return the card that the library writes of the same training without autocard."""
    trainer = trained(name, folder, **settings)
    with quiet():
        trainer.create_model_card()
    return card(folder)


def body(text) -> str:
    return re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)


def shown(text) -> str:
    """Return what a reader sees of *text* outside the summary table: no comments, code or citations."""
    without_summary = re.sub(r"(?m)^\| Base model \|.*\n\|.*\n\|.*\n", "", body(text))
    tokens = MarkdownIt("commonmark").enable("table").parse(without_summary)
    words = "\n".join(one.content for one in tokens if one.type in ("inline", "html_block"))
    return re.sub(r"(?s)<!--.*?-->", "", words)


def headings(text) -> list[str]:
    tokens = MarkdownIt("commonmark").parse(body(text))
    return [
        tokens[number + 1].content
        for number, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag != "h1"
    ]


def below(text, heading) -> str:
    """Return the text below the first heading called *heading*, up to the next one."""
    lines, tokens = body(text).split("\n"), MarkdownIt("commonmark").parse(body(text))
    starts = {
        token.map[0]: tokens[number + 1].content
        for number, token in enumerate(tokens)
        if token.type == "heading_open"
    }
    start = next(line for line, title in starts.items() if title == heading)
    end = min((line for line in starts if line > start), default=len(lines))
    return "\n".join(lines[start + 1 : end])


def mentions(text, value) -> int:
    """Return how often *value* is shown; 5e-05 and 5e-5 are one."""
    text, value = (one.replace("e-0", "e-") for one in (shown(text), value))
    return len(re.findall(rf"(?<![\w.]){re.escape(value)}(?![\w])", text))


@pytest.fixture(scope="module", params=WITH_CARDS)
def pair(request, tmp_path_factory):
    """The host's name, the library's own card, and ours of the same training."""
    theirs, ours = (tmp_path_factory.mktemp(kind) for kind in ("theirs", "ours"))
    text = of_the_library(request.param, theirs)
    trained(request.param, ours, autocard())
    return request.param, text, card(ours)


def test_every_heading_of_the_library_stands_in_our_card_in_its_order(pair):
    _, theirs, ours = pair

    kept = [title for title in headings(ours) if title in headings(theirs)]

    assert kept == headings(theirs)


def test_each_fact_stands_once(pair):
    _, theirs, ours = pair
    values = {
        "learning rate": "3.7e-05",
        "seed": "97",
        "link to the base model": f"https://huggingface.co/{BASE}",
        "transformers": importlib.metadata.version("transformers"),
        "datasets": importlib.metadata.version("datasets"),
        "tokenizers": importlib.metadata.version("tokenizers"),
        "torch": importlib.metadata.version("torch"),
        "scheduler": "linear",
    }

    counts = {fact: mentions(ours, value) for fact, value in values.items()}

    # sentence-transformers says what differs from its defaults twice, and the base in a list, too.
    most = {fact: max(1, mentions(theirs, value)) for fact, value in values.items()}
    if "SBERT" in theirs:
        most["link to the base model"] = 2
    assert {fact: count for fact, count in counts.items() if not 1 <= count <= most[fact]} == {}


def test_nothing_is_left_that_the_library_says_for_want_of_a_fact(pair):
    _, _, ours = pair

    assert [words for words in FALSE if words in ours] == []
    assert "not known for this run" not in ours


def test_environment_hours_and_hardware_are_added(pair):
    _, theirs, ours = pair

    section = below(ours, "Environmental Impact")

    assert "- **Hours used:** " in section
    assert "- **Hardware Type:** " in section
    assert ours.index("## Environmental Impact") > ours.index("ramework")
    assert "Environmental Impact" not in headings(theirs)


def test_our_card_is_longer_than_the_librarys_by_what_that_lacks(pair):
    _, theirs, ours = pair

    common = [title for title in headings(ours) if title in set(headings(theirs))]
    of_theirs = sum(len(below(theirs, title).split()) for title in dict.fromkeys(common))
    of_ours = sum(len(below(ours, title).split()) for title in dict.fromkeys(common))

    # In the library's own sections: how the run was set up, what else was installed.
    assert of_ours - of_theirs < 150


def test_citations_methods_and_links_stay(pair):
    name, theirs, ours = pair
    marks = re.findall(r"(?s)```bibtex\n.*?```", theirs) + re.findall(
        r"This model was trained with .*", theirs
    )

    assert marks
    assert [mark for mark in marks if mark not in ours] == []
    if "TRL" in name:
        assert "[TRL](https://github.com/huggingface/trl)" in ours


def test_sentence_transformers_widget_samples_statistics_and_usage_stay(tmp_path):
    theirs = of_the_library("sentence-transformers", tmp_path / "theirs")
    trained("sentence-transformers", tmp_path / "ours", autocard())

    ours = card(tmp_path / "ours")

    front = yaml.safe_load(ours.split("---\n")[1])
    assert front["widget"] == yaml.safe_load(theirs.split("---\n")[1])["widget"]
    for heading in ("Unnamed Dataset", "All Hyperparameters", "Full Model Architecture"):
        assert below(ours, heading).split()[:60] == below(theirs, heading).split()[:60]
    assert "model.encode(sentences)" in ours


# -- which card it is ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["TRL DPO", "sentence-transformers"])
@pytest.mark.parametrize("template", ["huggingface", "compact"])
def test_with_a_form_that_the_user_chose_nothing_of_the_librarys_card_is_brought_in(
    name, template, tmp_path
):
    trainer = trained(name, tmp_path, autocard(template=template))

    with quiet():
        trainer.create_model_card()

    text = card(tmp_path)
    assert "Cite TRL as" not in text
    assert "Full Model Architecture" not in text
    assert "wall-clock" in text


@pytest.mark.parametrize("name", ["TRL DPO", "sentence-transformers"])
def test_a_card_that_a_person_wrote_gets_nothing_of_the_librarys(name, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text(f"# Mine\n\n{WORDS}\n")

    trainer = trained(name, tmp_path, autocard())
    with quiet():
        trainer.create_model_card()
        trainer.evaluate()
        trainer.create_model_card()

    text = card(tmp_path)
    assert f"# Mine\n\n{WORDS}\n" in text
    assert "Cite TRL as" not in text
    assert "Full Model Architecture" not in text


def test_a_card_that_was_made_of_the_hubs_form_stays_one(tmp_path):
    trained("TRL SFT", tmp_path, autocard(template="huggingface"))
    before = headings(card(tmp_path))

    trainer = trained("TRL SFT", tmp_path, autocard())
    with quiet():
        trainer.create_model_card()
        trainer.evaluate()
        trainer.create_model_card()

    assert headings(card(tmp_path)) == before


# -- usage code ------------------------------------------------------------------------------------


def test_trls_example_of_a_conversation_stays_where_the_tokenizer_has_a_chat_template(tmp_path):
    trained("TRL SFT", tmp_path, autocard(), chat=True)

    code = below(card(tmp_path), "Quick start")

    assert 'pipeline("text-generation", model=".", device_map="auto")' in code
    assert "If you had a time machine" in code


def test_trls_example_is_replaced_where_it_would_not_work(tmp_path):
    trained("TRL SFT", tmp_path, autocard())

    code = below(card(tmp_path), "Quick start")

    assert "time machine" not in code
    assert 'from_pretrained(".")' in code


@pytest.mark.parametrize("name", ["TRL SFT", "TRL DPO", "sentence-transformers"])
@pytest.mark.parametrize("settings", [{"push_to_hub": True}, {}], ids=str)
def test_the_usage_code_of_a_pushed_card_names_its_repository(name, settings, hub, tmp_path):
    trainer = trained(name, tmp_path, autocard(), chat=name == "TRL SFT", **settings)

    with quiet():
        trainer.push_to_hub()

    text = hub.repo(trainer.hub_model_id).text()
    assert f'"{trainer.hub_model_id}"' in text
    assert '"."' not in text
    assert "In the folder that holds this card" not in text
    assert ("time machine" in text) == (name == "TRL SFT")


# -- later saves, trainings and edits --------------------------------------------------------------


@pytest.mark.parametrize("name", ["TRL DPO", "sentence-transformers"])
def test_what_people_write_into_the_card_stays_through_saves_pushes_and_trainings(
    name, hub, tmp_path
):
    trainer = trained(name, tmp_path, autocard(), hub_model_id="me/out")
    path = tmp_path / "out" / "README.md"
    heading = "## Citation"
    path.write_text(
        path.read_text().replace(heading, f"## Intended use\n\n{WORDS}\n\n{heading}", 1)
    )

    def stands() -> bool:
        return card(tmp_path).count(f"## Intended use\n\n{WORDS}\n\n{heading}") == 1

    with quiet():
        for step in (
            trainer.save_model,
            trainer.evaluate,
            trainer.create_model_card,
            trainer.push_to_hub,
            trainer.train,
            trainer.push_to_hub,
        ):
            step()
            assert stands(), step
    again = trained(name, tmp_path, autocard(), hub_model_id="me/out")
    with quiet():
        again.push_to_hub()

    assert stands()
    assert hub.repo("me/out").text().count(WORDS) == 1


@pytest.mark.parametrize("name", ["TRL SFT", "sentence-transformers"])
def test_a_second_training_in_the_folder_has_the_figures_of_the_second_alone(name, tmp_path):
    first = trained(name, tmp_path, autocard(), learning_rate=4.3e-5)
    path = tmp_path / "out" / "README.md"
    path.write_text(
        path.read_text().replace("## Citation", f"## Notes\n\n{WORDS}\n\n## Citation", 1)
    )
    del first

    trained(name, tmp_path, autocard(), learning_rate=5.9e-5, max_steps=8, eval_steps=4)

    text = card(tmp_path)
    assert "4.3e-05" not in text
    assert mentions(text, "5.9e-05") == (2 if name == "sentence-transformers" else 1)
    assert text.count(f"## Notes\n\n{WORDS}\n") == 1
    assert headings(text).count("Environmental Impact") == 1


def test_a_resumed_training_keeps_the_librarys_card(tmp_path):
    trained(
        "TRL SFT",
        tmp_path,
        autocard(),
        save=False,
        max_steps=2,
        save_strategy="steps",
        save_steps=1,
    )
    trainer = made(
        "TRL SFT", tmp_path, autocard(), max_steps=4, save_strategy="steps", save_steps=1
    )

    with quiet():
        trainer.train(resume_from_checkpoint=True)

    text = card(tmp_path)
    assert "Cite TRL as" in text
    assert "2 legs" in text or "2 starts" in text
    assert [words for words in FALSE if words in text] == []


def test_a_card_that_trl_wrote_at_checkpoints_has_the_runs_facts_after_its_next_card(tmp_path):
    trainer = trained("TRL SFT", tmp_path, autocard(), save_strategy="steps", save_steps=1)

    with quiet():
        trainer.create_model_card()

    text = card(tmp_path)
    assert yaml.safe_load(text.split("---\n")[1])["base_model"] == BASE
    assert [words for words in FALSE if words in text] == []
    assert "- **Hours used:** " in text


def test_a_second_save_changes_nothing(tmp_path):
    trainer = trained("TRL GRPO", tmp_path, autocard())
    before = card(tmp_path)

    with quiet():
        trainer.save_model()
        trainer.create_model_card()
    CliRunner().invoke(app, ["fill", str(tmp_path / "out")])

    assert card(tmp_path) == before


# -- cards that are filled later -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Trainer", "Trainer + PEFT", "TRL SFT", "TRL DPO"])
def test_a_card_that_a_library_wrote_before_is_filled_with_each_fact_once(name, tmp_path):
    """The card is the library's of one training, the record that of the same training with autocard."""
    text = of_the_library(name, tmp_path / "theirs")
    trained(name, tmp_path / "ours", autocard())
    path = tmp_path / "ours" / "out" / "README.md"
    path.write_text(text)
    record = tmp_path / "record.json"
    (tmp_path / "ours" / "out" / "autocard.json").rename(record)

    done = CliRunner().invoke(app, ["fill", str(path), "--record", str(record)])

    after = path.read_text()
    assert done.exit_code == 0, done.output
    assert [words for words in FALSE if words in after] == []
    for value in ("3.7e-05", importlib.metadata.version("transformers")):
        assert mentions(after, value) == 1, value
    again = CliRunner().invoke(app, ["fill", str(path)])
    assert again.exit_code == 0
    assert path.read_text() == after


def test_what_a_library_states_in_its_own_card_is_not_said_to_be_a_persons(tmp_path, caplog):
    trained("sentence-transformers", tmp_path, autocard(), max_steps=2)

    assert "edited by hand" not in caplog.text


def test_what_a_person_changes_in_a_librarys_card_is_said_to_be_theirs(tmp_path, caplog):
    trained("sentence-transformers", tmp_path, autocard())
    text = card(tmp_path)
    label = "- **Hours used:**"
    assert label in text
    edited = re.sub(rf"(?m)^{re.escape(label)} .*$", f"{label} two evenings", text)
    (tmp_path / "out" / "README.md").write_text(edited, encoding="utf-8")

    trained("sentence-transformers", tmp_path, autocard())

    assert "two evenings" in card(tmp_path)
    assert "Hours used" in caplog.text
