"""Attacks on a running training and on its upload: kinds of attacks.py."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]

PREPARED = f"""
import os, signal, sys, threading, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
sys.path.insert(0, {str(TESTS)!r})
def bad(why):
    print("BAD", why)
    os._exit(9)
"""


def impostors() -> dict[str, str]:
    """Return what answers in the Hub's place when a card is read; any text that comes back is a success."""
    from support.hub_impostors import IMPOSTORS

    code = """
from support import hub_impostors
from support.hub_server import Hub
from autocard.errors import AutocardError, UnavailableError
with Hub() as hub:
    os.environ.update(HF_ENDPOINT=hub.url, HF_TOKEN=hub.token, NO_PROXY="127.0.0.1", HF_HUB_DISABLE_XET="1")
    os.environ.pop("HF_HUB_OFFLINE", None)
    from autocard.hub.remote import Repository
    hub.create("me/out", {{"README.md": "# A"}})
    hub.pretend(hub_impostors.IMPOSTORS[{name!r}], "resolve")
    try:
        Repository("me/out").read("README.md")
    except (AutocardError, UnavailableError):
        os._exit(0)
    bad("taken for the Hub")
"""
    return {name: PREPARED + code.format(name=name) for name in IMPOSTORS}


def sockets() -> dict[str, str]:
    """Return programs that open connections all the time, beside 10 meetings on a store that falls silent."""
    code = """
import socket
from datetime import timedelta
import torch.distributed as dist
from autocard.errors import UnavailableError
from autocard.distributed.rendezvous import StoreRendezvous as StoreBoard
server = socket.create_server(("127.0.0.1", 0), backlog=4096)
pairs, over = [], threading.Event()
def program():
    while not over.wait({wait_s}):
        pairs.append((socket.create_connection(server.getsockname()), server.accept()[0]))
thread = threading.Thread(target=program, daemon=True)
thread.start()
store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=20))
boards = []
for number in range(10):
    try:
        boards.append(StoreBoard(store, f"p{{number}}"))
    except UnavailableError:
        pass  # no name server answers torch in time
over.set()
thread.join()
for board in boards:
    board._asking = threading.current_thread()
    board.let_go()
for one, other in pairs:
    try:
        one.sendall(b"x")
        other.settimeout(10)
        if other.recv(1) != b"x": bad("closed")
    except OSError:
        bad("closed")
os._exit(0)
"""
    waits_ms = (1, 2, 5, 10)
    return {f"{wait} ms": PREPARED + code.format(wait_s=wait / 1000) for wait in waits_ms}


TRAINING = (
    PREPARED
    + """
os.environ.update(HF_HUB_OFFLINE="1", HOME=os.getcwd(), OMP_NUM_THREADS="1")
from support import training
from transformers import Trainer
from autocard import AutoCardCallback
out = Path("out")
out.mkdir(exist_ok=True)
card = out / "README.md"
def trained(cls=Trainer):
    trainer = cls(model=training.lora(training.bert()), args=training.arguments(out, max_steps=2),
                  train_dataset=training.dataset(8), callbacks=[AutoCardCallback(emissions=False)])
    trainer.train()
    return trainer
def lost(*words):
    text = card.read_text(errors="replace") if card.is_file() else ""
    if not all(word in text for word in words): bad("lost")
"""
)


def failures_behind_a_library() -> dict[str, str]:
    """Return failures of autocard behind a library's card writer; the person's words have to stand in the card."""
    code = """
card.write_text({card!r})
trainer = trained()
{failure}
trainer.create_model_card()
lost("ZZwords")
os._exit(0)
"""
    words = "# Mine\\n\\nZZwords of a person.\\n"
    aliases = "---\\na: &a [*a]\\n---\\n# Mine\\n\\nZZwords\\n"
    fails = "def fails(*_, **__): raise RuntimeError('broken')\nimport autocard.card.card_filler as c\nc.fill = fails"
    tries = {
        "broken label file": (words, "(out / 'autocard.labels.yaml').write_text('factz: [')"),
        "label file of a wrong type": (words, "(out / 'autocard.labels.yaml').write_text('3')"),
        "exception in the fill": (words, fails),
        "front matter that contains itself": (aliases, ""),
        "list under the environment": (
            "# M\\n\\n## Environmental Impact\\n\\n- ZZwords\\n\\n## Ethics\\n\\nBe kind.\\n",
            "",
        ),
    }
    return {
        name: TRAINING + code.format(card=text.encode().decode("unicode_escape"), failure=failure)
        for name, (text, failure) in tries.items()
    }


def edits_after_a_kill() -> dict[str, str]:
    """Return ways to end a process in a library's card writer; an edit made since has to survive the next training."""
    code = """
class Ends(Trainer):
    def create_model_card(self, *arguments, **named):
        super().create_model_card(*arguments, **named)
        {end}
card.write_text("# Mine\\n\\nZZfirst words.\\n")
process = os.fork()
if process == 0:
    trainer = trained(Ends)
    trainer.create_model_card()
os.waitpid(process, 0)
card.write_text("# Mine\\n\\nZZfirst words.\\n\\nZZlater words.\\n")
trained()
lost("ZZfirst", "ZZlater")
os._exit(0)
"""
    ends = {"SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)", "exit": "os._exit(1)"}
    return {name: TRAINING + code.format(end=end) for name, end in ends.items()}


KINDS = {
    "something else in the Hub's place": impostors,
    "sockets of the training program": sockets,
    "failures behind a library's card writer": failures_behind_a_library,
    "an edit after a process was killed in a card writer": edits_after_a_kill,
}
