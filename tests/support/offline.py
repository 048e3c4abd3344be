"""Train without a network, in a separate process: print how long autocard delayed it, and which names it looked up.

Where it runs in a network of its own (`unshare -n`) it serves that network's names itself, and
answers nothing.
"""

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from transformers import TrainerCallback

from autocard import AutoCardCallback
from support import training
from support.counting import waits

folder, serves = sys.argv[1:3]
asked, reached, held_s, waited = [], [], {}, {}


def listen(server):
    while True:
        asked.append(server.recv(512)[12:60].decode(errors="replace"))


if serves == "names":
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    threading.Thread(target=listen, args=(server,), daemon=True).start()


def watch(event, arguments):
    if event in {"socket.getaddrinfo", "socket.gethostbyname"} or (
        event == "socket.connect" and arguments[0].family != socket.AF_UNIX
    ):
        reached.append(event)


sys.addaudithook(watch)


class Held(AutoCardCallback):
    """Ours, with a count of waits around one of the two events that hold training up, and a clock around the other."""

    def on_train_begin(self, *args, **objects):
        waited["begin"] = waits(lambda: super(Held, self).on_train_begin(*args, **objects))

    def on_train_end(self, *args, **objects):
        begun_s = time.perf_counter()
        super().on_train_end(*args, **objects)
        held_s["end"] = time.perf_counter() - begun_s


class Slow(TrainerCallback):
    def on_step_end(self, *_, **__):
        time.sleep(0.5)


training.trainer(folder, callbacks=[Held(ram_power_w=10), Slow()], max_steps=8).train()
print(
    json.dumps(
        {"held_s": held_s, "waited": waited, "asked": asked, "reached": reached, "pid": os.getpid()}
    )
)
