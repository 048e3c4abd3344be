"""The suite's own Hub, asked by the real client: what it takes, what it refuses, and what it is like when it is ill."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from support.hub_checks import LICENCES, refusals

pytest_plugins = ["support.hub_fixtures"]
old_client = pytest.mark.skipif(
    int(version("huggingface_hub").split(".")[0]) < 1,
    reason="huggingface_hub 0.x asks huggingface.co to check a card whatever HF_ENDPOINT says, and tries less often",
)

OTHER = "hf_other"
RESULT = "{task: {type: t}, dataset: {type: d, name: D}, metrics: [{type: f, value: 0}]}"
CARD = "---\nlicense: mit\ntags:\n- test\n---\n\n# A card\n"
NEW = b"---\nlicense: mit\n---\n\n# New\n"


@pytest.fixture
def api(hub):  # noqa: ARG001 - which the client finds by itself
    from huggingface_hub import HfApi

    return HfApi()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "README.md").write_text(CARD)
    (tmp_path / "model.safetensors").write_bytes(b"weights" * 1000)
    (tmp_path / "empty.bin").write_bytes(b"")
    (tmp_path / "_private").mkdir()
    (tmp_path / "_private" / "notes.txt").write_text("mine")
    return tmp_path


def test_a_client_knows_who_it_is_and_where_its_repository_is(hub, api):
    assert api.whoami()["name"] == "me"

    address = api.create_repo("x")

    assert address == f"{hub.url}/me/x"
    assert address.repo_id == "me/x"
    assert api.create_repo("me/x", exist_ok=True).repo_id == "me/x"


def test_a_repository_is_not_made_twice_nor_in_a_foreign_namespace(hub, api):
    from huggingface_hub.errors import HfHubHTTPError

    hub.create("me/x")

    with pytest.raises(HfHubHTTPError, match="already created"):
        api.create_repo("me/x")
    with pytest.raises(HfHubHTTPError, match="don't have the rights"):
        api.create_repo("stranger/x", exist_ok=True)


def test_a_wrong_token_may_read_and_not_write(hub, api):
    from huggingface_hub.errors import HfHubHTTPError

    hub.create("me/x", {"README.md": CARD})

    assert api.model_info("me/x", token=OTHER).id == "me/x"
    with pytest.raises(HfHubHTTPError, match="401"):
        api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id="me/x", token=OTHER)


# huggingface_hub 2.4's call of httpx2
@pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
@pytest.mark.parametrize("large_files", [True, False])
def test_a_folder_arrives_as_one_commit_without_what_was_left_out(hub, api, folder, large_files):
    hub.large_files = large_files
    hub.create("me/x")

    info = api.upload_folder(
        repo_id="me/x", folder_path=folder, commit_message="Train", ignore_patterns=["_*"]
    )

    (push,) = hub.repo("me/x").pushes
    assert info.oid == push.sha
    assert push.parent == hub.repo("me/x").commits[0].sha
    assert (push.message, sorted(push.changed)) == (
        "Train",
        ["README.md", "empty.bin", "model.safetensors"],
    )
    assert push.files["model.safetensors"] == b"weights" * 1000
    assert push.text("README.md") == CARD
    assert bool(hub.blobs) == large_files
    assert {check.text for check in hub.checks} == {CARD}
    assert not hub.unknown


def test_the_client_with_xet_storage_at_hand_pushes_as_well(hub, folder):
    hub.create("me/x")
    program = "import sys; from huggingface_hub import HfApi; HfApi().upload_folder(repo_id='me/x', folder_path=sys.argv[1])"
    environment = {**os.environ, "HF_HUB_DISABLE_XET": "0"}

    subprocess.run(
        [sys.executable, "-c", program, str(folder)], env=environment, check=True, timeout=60
    )

    assert hub.repo("me/x").text() == CARD
    assert not hub.unknown


def test_what_has_not_changed_is_not_sent_again(hub, api, folder):
    hub.create("me/x")
    first = api.upload_folder(repo_id="me/x", folder_path=folder)

    again = api.upload_folder(repo_id="me/x", folder_path=folder)

    assert again.oid == first.oid
    assert len(hub.repo("me/x").pushes) == 1


def test_an_edit_on_the_page_is_the_next_commit_and_is_what_readers_get(hub, api):
    from huggingface_hub import ModelCard, hf_hub_download

    hub.create("me/x", {"README.md": CARD})
    before = hf_hub_download("me/x", "README.md")
    edit = hub.edit("me/x", "README.md", CARD + "\nMine.\n")

    after = hf_hub_download("me/x", "README.md")

    assert Path(before).read_text() == CARD
    assert Path(after).read_text() == CARD + "\nMine.\n"
    assert api.model_info("me/x").sha == edit.sha
    assert ModelCard.load("me/x").text.endswith("Mine.\n")
    assert [commit.title for commit in api.list_repo_commits("me/x")] == [
        "Update README.md",
        "Upload files",
        "initial commit",
    ]


def test_an_older_revision_can_be_read(hub, api, tmp_path):
    from huggingface_hub import hf_hub_download

    old = hub.create("me/x", {"README.md": "old"}).commits[-1].sha
    hub.edit("me/x", "README.md", "new")

    path = hf_hub_download("me/x", "README.md", revision=old, local_dir=tmp_path)

    assert Path(path).read_text() == "old"
    assert api.model_info("me/x", revision=old).sha == old


def test_what_is_not_there_has_the_error_that_clients_look_for(hub, api):
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    hub.create("me/x")

    with pytest.raises(RepositoryNotFoundError):
        api.model_info("me/none")
    with pytest.raises(RepositoryNotFoundError):
        api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id="me/none")
    with pytest.raises(EntryNotFoundError):
        hf_hub_download("me/x", "none.txt")
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download("me/x", "README.md", revision="none")
    assert not api.repo_exists("me/none")
    assert not api.file_exists("me/x", "README.md")


@old_client
def test_a_card_is_pushed_by_its_own_method(hub):
    from huggingface_hub import ModelCard

    hub.create("me/x", {"README.md": CARD})
    card = ModelCard.load("me/x")
    card.data.license = "apache-2.0"

    card.push_to_hub("me/x")

    assert "license: apache-2.0" in hub.repo("me/x").text()


def test_files_are_listed_deleted_and_replaced(hub, api):
    hub.create("me/x", {"README.md": CARD, "a/one.txt": "1", "a/b/two.txt": "2"})

    listed = {entry.path for entry in api.list_repo_tree("me/x", recursive=True)}
    api.delete_file("README.md", "me/x")
    api.delete_folder("a/b", "me/x")
    api.upload_file(path_or_fileobj=b"11", path_in_repo="a/one.txt", repo_id="me/x")

    assert listed == {".gitattributes", "README.md", "a", "a/one.txt", "a/b", "a/b/two.txt"}
    assert dict(hub.repo("me/x").files) == {
        ".gitattributes": hub.repo("me/x").files[".gitattributes"],
        "a/one.txt": b"11",
    }
    assert [commit.deleted for commit in hub.repo("me/x").pushes] == [
        (),
        ("README.md",),
        ("a/b/two.txt",),
        (),
    ]
    assert [info.path for info in api.get_paths_info("me/x", ["a/one.txt"])] == ["a/one.txt"]


def test_a_pull_request_leaves_main_alone(hub, api):
    hub.create("me/x", {"README.md": CARD})

    info = api.upload_file(
        path_or_fileobj=NEW, path_in_repo="README.md", repo_id="me/x", create_pr=True
    )

    assert info.pr_num == 1
    assert hub.repo("me/x").text() == CARD
    assert hub.repo("me/x").at("refs/pr/1").text("README.md") == NEW.decode()


def test_an_upload_on_top_of_a_commit_that_is_no_longer_the_last_is_refused(hub, api):
    from huggingface_hub.errors import HfHubHTTPError

    seen = hub.create("me/x", {"README.md": CARD}).commits[-1].sha
    hub.edit("me/x", "README.md", "mine")

    with pytest.raises(HfHubHTTPError, match="A commit has happened since"):
        api.upload_file(
            path_or_fileobj=NEW, path_in_repo="README.md", repo_id="me/x", parent_commit=seen
        )

    assert hub.repo("me/x").text() == "mine"


REFUSED = {
    "base_model: ''": '"base_model" is not allowed to be empty',
    "base_model: /home/somebody/model": '"base_model" with value "/home/somebody/model" is not valid',
    "base_model: ./model": '"base_model" with value "./model" is not valid',
    "base_model: [org/model, a/b/c]": '"base_model[1]" with value "a/b/c" is not valid',
    "datasets: [/var/data.csv]": '"datasets[0]" with value "/var/data.csv" is not valid',
    "datasets: [null]": '"datasets[0]" must be a string',
    "license: Apache 2.0": '"license" must be one of [',
    "language: English": '"language" with value "English" is not valid',
    "language: [false]": '"language[0]" must be a string',
    "tags: [1]": '"tags[0]" must be a string',
    "library_name: ''": '"library_name" is not allowed to be empty',
    "widget: one": '"widget" must be an array',
    "model-index: none": '"model-index" must be an array',
    "model-index: [{results: []}]": '"model-index[0].name" is required',
    "model-index: [{name: x}]": '"model-index[0].results" is required',
    "model-index: [{name: x, results: [{task: {type: t}, metrics: []}]}]": (
        '"model-index[0].results[0].dataset" is required'
    ),
    "model-index: [{name: x, results: [{task: {type: t}, dataset: {type: d, name: d, config: 1}, metrics: []}]}]": (
        '"model-index[0].results[0].dataset.config" must be a string'
    ),
    "model-index: [{name: x, results: [{task: {type: t}, dataset: {type: d, name: d}, metrics: [{value: 1}]}]}]": (
        '"model-index[0].results[0].metrics[0].type" is required'
    ),
    "a: [": "Invalid YAML in README.md",
}


@pytest.mark.parametrize("metadata", REFUSED)
def test_metadata_that_the_hub_does_not_take_is_refused_with_its_words(metadata):
    errors, warnings = refusals(f"---\n{metadata}\n---\n")

    assert [error.startswith(REFUSED[metadata]) for error in errors] == [True]
    assert warnings == []


@pytest.mark.parametrize(
    "metadata",
    [
        "base_model: bert-base-uncased",
        "base_model:\n- org/model-1.5B_x\n- other/model",
        "datasets: [glue, org/data]",
        "license: other\nlicense_name: mine\nlicense_link: LICENSE",
        "language: [en, pt-BR, code]",
        "model-index: [{name: x, results: []}]",
        f"model-index: [{{name: x, results: [{RESULT}]}}]",
        "co2_eq_emissions:\n  emissions: 1.5\n  source: codecarbon",
        "some_key: {of: mine}",
    ],
)
def test_good_metadata_is_taken(metadata):
    assert refusals(f"---\n{metadata}\n---\n# Card\n") == ([], [])


def test_a_card_without_metadata_is_taken_with_a_warning():
    assert refusals("# Card\n") == ([], ["empty or missing yaml metadata in repo card"])
    assert refusals("---\n---\n# Card\n")[1] == ["empty or missing yaml metadata in repo card"]


def test_licences_are_the_identifiers_that_people_know():
    assert {"apache-2.0", "mit", "other", "cc-by-4.0", "llama3.1", "openrail"} <= LICENCES
    assert "apache 2.0" not in LICENCES


def test_a_refused_card_fails_the_whole_upload_with_the_hubs_words(hub, api, folder):
    hub.create("me/x")
    (folder / "README.md").write_text("---\nbase_model: /tmp/base\n---\n")

    with pytest.raises(
        ValueError, match=r'Invalid metadata in README.md.\n- "base_model" with value "/tmp/base"'
    ):
        api.upload_folder(repo_id="me/x", folder_path=folder)

    assert hub.repo("me/x").pushes == []
    assert [check.errors[0] for check in hub.checks] == [
        '"base_model" with value "/tmp/base" is not valid. Use a model id from https://hf.co/models.'
    ]


def test_a_refused_card_cannot_come_in_through_a_commit_either(hub):
    import requests

    hub.create("me/x")
    content = base64.b64encode(b"---\nbase_model: ''\n---\n").decode()
    lines = [
        {"key": "header", "value": {"summary": "s", "description": ""}},
        {"key": "file", "value": {"path": "README.md", "encoding": "base64", "content": content}},
    ]

    with requests.post(
        f"{hub.url}/api/models/me/x/commit/main",
        data="\n".join(map(json.dumps, lines)),
        headers={"Authorization": f"Bearer {hub.token}", "Content-Type": "application/x-ndjson"},
        timeout=10,
    ) as answer:
        assert (answer.status_code, answer.json()["error"]) == (
            400,
            '"base_model" is not allowed to be empty',
        )
    assert hub.repo("me/x").pushes == []


def test_a_hub_that_refuses_says_so_and_heals(hub, api):
    from huggingface_hub.errors import HfHubHTTPError

    hub.create("me/x")
    hub.refuse()
    with pytest.raises(HfHubHTTPError, match="403"):
        api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id="me/x")
    hub.heal()

    api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id="me/x")

    assert hub.repo("me/x").files["a"] == b"1"


@old_client
def test_a_server_error_is_tried_again_by_the_client(hub, api):
    hub.create("me/x")
    hub.fail(503, at="preupload", times=1)

    api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id="me/x")

    assert len(hub.asked("POST .*/preupload/")) == 2
    assert len(hub.repo("me/x").pushes) == 1


def test_an_answer_that_breaks_off_is_an_error_though_the_commit_was_made(hub, api):
    hub.create("me/x")
    hub.drop(at="/commit/")

    with pytest.raises(Exception, match=r"(?i)peer closed|incomplete|broken|disconnected"):
        api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id="me/x")

    assert len(hub.repo("me/x").pushes) == 1


def test_a_connection_that_is_closed_before_anything_was_done_makes_no_commit(hub, api):
    hub.create("me/x")
    hub.drop(at="/commit/", before=True)

    with pytest.raises(Exception, match=r"(?i)disconnected|aborted|connection"):
        api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id="me/x")

    assert hub.repo("me/x").pushes == []


def test_a_slow_hub_answers_late(hub, api):
    hub.create("me/x")
    hub.slow(0.3, at="/api/models/me/x", times=1)
    started = time.monotonic()

    api.model_info("me/x")

    assert time.monotonic() - started >= 0.3


def test_processes_that_a_test_starts_speak_to_the_same_hub(hub):
    hub.create("me/x", {"README.md": CARD})
    program = "from huggingface_hub import HfApi; print(HfApi().whoami()['name'], HfApi().model_info('me/x').sha)"

    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert said.stdout.split() == ["me", hub.repo("me/x").commits[-1].sha]


def test_the_shared_client_of_transformers_speaks_to_it(hub):
    pytest.importorskip("transformers")
    from transformers import BertConfig

    BertConfig(vocab_size=7).push_to_hub("me/x")

    assert '"vocab_size": 7' in hub.repo("me/x").text("config.json")
    assert BertConfig.from_pretrained("me/x").vocab_size == 7
