"""Something else answers in the Hub's place, or without end: it is no card, and a push neither waits nor grows long."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from autocard import AutoCardCallback
from autocard.errors import UnavailableError
from autocard.hub import answers
from autocard.hub.remote import Repository
from support.card_writers import BASE, HOSTS, quiet
from support.hub_impostors import COMMIT, IMPOSTORS, send

pytest_plugins = ["support.hub_fixtures"]

REPO = "me/out"
THERE = "---\nlicense: mit\n---\n\n# On the Hub\n\nWords on the Hub.\n"
MINE = "# On disk\n\nWords of a person.\n"
MEMORY_BYTES = 150_000_000
"""Memory that reading one answer may cost in all, with the libraries that it imports."""


@pytest.fixture(params=IMPOSTORS)
def impostor(request):
    return IMPOSTORS[request.param]


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """Shorten the limits, in this process and in those that a test starts."""
    monkeypatch.setattr(answers, "TOTAL_S", 2.0)


class Elsewhere(BaseHTTPRequestHandler):
    """Another server, whose answers look like the Hub's."""

    asked: list[str | None] = []  # noqa: RUF012 - one for the test

    def do_GET(self):
        Elsewhere.asked.append(self.headers.get("Authorization"))
        send(
            self,
            200,
            {"Content-Type": "text/plain", "X-Repo-Commit": COMMIT},
            b"# From elsewhere\n",
        )

    def log_message(self, *_):
        """Print nothing."""


@pytest.fixture
def elsewhere():
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Elsewhere.asked.clear()
        yield f"http://127.0.0.1:{server.server_address[1]}/README.md"
        server.shutdown()


def peak_bytes():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(
        next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    )


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK),
    reason="needs Linux, to reset the peak of memory",
)
def test_an_answer_that_is_not_the_hubs_is_no_card_and_costs_little_time_and_memory(hub, impostor):
    hub.create(REPO, {"README.md": THERE})
    assert Repository(REPO).read("README.md") == THERE
    hub.pretend(impostor, "resolve")
    Path("/proc/self/clear_refs").write_text("5")
    before, began_s = peak_bytes(), time.monotonic()

    with pytest.raises(UnavailableError, match="could not be read from the Hub"):
        Repository(REPO).read("README.md")

    assert time.monotonic() - began_s < 30
    assert peak_bytes() - before < MEMORY_BYTES


def test_an_answer_from_another_host_is_not_asked_for(hub, elsewhere):
    hub.create(REPO, {"README.md": THERE})
    hub.pretend(
        lambda handler: send(handler, 302, {"Location": elsewhere, "X-Repo-Commit": COMMIT}),
        "resolve",
    )

    with pytest.raises(UnavailableError, match="another host"):
        Repository(REPO).read("README.md")

    assert Elsewhere.asked == []


def test_a_repository_that_was_renamed_is_read_under_its_new_name(hub):
    hub.create("me/new", {"README.md": THERE})
    hub.pretend(
        lambda handler: send(handler, 307, {"Location": handler.path.replace("me/old", "me/new")}),
        "me/old/resolve",
    )

    assert Repository("me/old").read("README.md") == THERE


def test_a_compressed_card_is_read(hub):
    hub.create(REPO, {"README.md": THERE})
    packed = gzip.compress(THERE.encode())
    headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip", "X-Repo-Commit": COMMIT}
    hub.pretend(lambda handler: send(handler, 200, headers, packed), "resolve")

    assert Repository(REPO).read("README.md") == THERE


def test_what_is_not_there_is_none(hub):
    hub.create(REPO, {"other.md": "x"})

    assert Repository(REPO).read("README.md") is None


@pytest.fixture
def pushing(hub, tmp_path):
    """A trainer that has trained, above a person's card."""
    hub.create(REPO, {"README.md": THERE})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text(MINE)
    callback = AutoCardCallback(base_model=BASE, emissions=False)
    with quiet():
        trainer = HOSTS["Trainer + PEFT"].make(
            tmp_path / "base", tmp_path / "out", [callback], hub_model_id=REPO, save_strategy="no"
        )
        trainer.train()
    return trainer


@pytest.mark.timeout(600)
def test_whatever_answers_in_the_hubs_place_the_persons_card_is_pushed(hub, pushing, tmp_path):
    for name, impostor in IMPOSTORS.items():
        hub.heal()
        hub.edit(REPO, "README.md", THERE + f"\n{name}\n")
        hub.pretend(impostor, "resolve/main/README.md")
        began_s = time.monotonic()

        with quiet():
            pushing.push_to_hub()

        text = hub.repo(REPO).text()
        assert text == (tmp_path / "out" / "README.md").read_text(), name
        assert "Words of a person." in text, name
        assert "Hours used" in text, name
        assert not any(word in text for word in ("<html>", "From a gateway", "# Large")), name
        assert time.monotonic() - began_s < 60, name


PUSH = """
import atexit, sys
from pathlib import Path
atexit.register(lambda: print("peak:", Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]))
from autocard.hub import answers
answers.TOTAL_S = 2.0
from autocard.cli import main
sys.argv = ["autocard", "push", "me/out"]
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("at", ["resolve/main/README.md", "api/models/me/out/revision"])
def test_the_command_ends_with_a_reason_and_uploads_nothing(hub, impostor, at):
    hub.create(REPO, {"README.md": THERE, "autocard.json": "{}"})
    hub.pretend(impostor, at)
    before = len(hub.repo(REPO).commits)

    done = subprocess.run(
        [sys.executable, "-c", PUSH], check=False, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 3, done.stderr
    assert "Nothing was uploaded" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(hub.repo(REPO).commits) == before
    assert int(done.stdout.split("peak:")[1]) < 400_000  # kB
