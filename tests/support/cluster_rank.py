"""One rank of a training on several nodes: what torchrun and srun start in the tests of clusters.

Usage: cluster_rank.py ORDER, a file that cluster_rig writes. Each rank keeps a log of its own clock
(`CLOCK_MONOTONIC`, which all processes of a machine share), a line at a time, so that it survives a
SIGKILL. The tensors stay on the CPU; the arguments alone tell autocard that the training runs on
CUDA. What goes wrong on purpose goes wrong by signals that a rank sends itself, at a known moment.
"""

from __future__ import annotations

import atexit
import faulthandler
import hashlib
import json
import os
import pickle
import random
import signal
import socket
import sys
import threading
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch.distributed as dist
from transformers import Trainer, TrainerCallback, set_seed
from transformers.trainer_utils import get_last_checkpoint

import autocard
from support import cluster_space, training
from support.gpu_shown import Arguments, callback_class

OURS = Path(autocard.__file__).parent
PATIENCE_S = 60.0
STUCK_S = 100.0
"""Seconds after which a rank prints where it is: the rig ends what hangs a little later."""
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "term": signal.SIGTERM}


class Clock(TrainerCallback):
    """Run before autocard's callback: log each event, and cause the ordered faults."""

    def __init__(self, order: dict, number: int) -> None:
        self.order, self.number = order, number
        self.file = os.open(
            Path(order["folder"]) / f"rank-{number}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND
        )
        self.met = 0
        again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
        self.faults = {
            str(fault["at"]): fault
            for fault in order["faults"]
            if fault["rank"] == number and not again
        }

    def log(self, *words: object) -> None:
        os.write(self.file, " ".join(map(str, (*words, time.monotonic()))).encode() + b"\n")

    def meet(self) -> None:
        """Come to a moment together with all other ranks, so that one clock is every rank's."""
        self.met += 1
        if dist.is_initialized():
            dist.barrier()
            return
        folder, world = (
            Path(self.order["folder"]),
            sum(node["ranks"] for node in self.order["nodes"]),
        )
        (folder / f"met-{self.met}-{self.number}").touch()
        until_s = time.monotonic() + PATIENCE_S
        gone = (
            sum(fault["do"] in {"kill", "raise"} for fault in self.order["faults"])
            if self.met > 1
            else 0
        )
        while (
            len(list(folder.glob(f"met-{self.met}-*"))) < world - gone
            and time.monotonic() < until_s
        ):
            time.sleep(0.002)

    def fail(self, at: object) -> None:
        fault = self.faults.get(str(at))
        if fault is None:
            return
        self.log(fault["do"])
        if fault["do"] == "raise":
            raise RuntimeError("the user's own code")  # noqa: EM101, TRY003
        if fault["do"] == "sleep":
            time.sleep(fault["for_s"])
        else:
            os.kill(os.getpid(), SIGNALS[fault["do"]])
        self.log("went on")

    def on_train_begin(self, args, state, control, **_):
        self.meet()
        self.log("begin", state.global_step)
        self.fail("begin")

    def on_step_end(self, args, state, control, **_):
        time.sleep(self.order["step_s"])
        self.log("step", state.global_step)
        self.fail(state.global_step)

    def on_train_end(self, args, state, control, **_):
        self.meet()
        self.log("end", state.global_step)
        self.fail("end")


class Since(TrainerCallback):
    """Run after autocard's callback: log when it has handled an event; wait once for the start of CodeCarbon."""

    def __init__(self, clock: Clock, *, patient: bool) -> None:
        self.clock, self.patient = clock, patient

    def on_train_begin(self, args, state, control, **_):
        self.clock.log("begun", state.global_step)

    def on_step_end(self, args, state, control, **_):
        if not self.patient:
            return
        self.patient = False
        from autocard.energy import meter

        until_s = time.monotonic() + PATIENCE_S
        for one in list(meter._METERS):
            one.wait_until_ready(until_s - time.monotonic())
        self.clock.log("measuring", state.global_step)

    def on_train_end(self, args, state, control, **_):
        self.clock.log("ended", state.global_step)
        self.clock.fail("ended")


class Connections(threading.Thread):
    """A part of the training program that opens a connection every 20 ms, as loggers and uploaders do."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.server = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.over = threading.Event()
        self.mine: list[socket.socket] = []
        self.accepted: list[socket.socket] = []

    def run(self) -> None:
        while not self.over.wait(0.02):
            self.mine.append(socket.create_connection(self.server.getsockname()))
            self.accepted.append(self.server.accept()[0])

    def broken(self) -> int:
        """Count the connections that do not carry a byte any more."""
        self.over.set()
        self.join()
        return sum(not _carries(*pair) for pair in zip(self.mine, self.accepted, strict=True))


def _carries(one: socket.socket, other: socket.socket) -> bool:
    other.settimeout(PATIENCE_S)
    try:
        one.sendall(b"x")
        return other.recv(1) == b"x"
    except OSError:
        return False


def callbacks(order: dict, clock: Clock) -> list:
    if order["ours"] is None:
        return [clock, Since(clock, patient=False)]
    broken = any(rank == clock.number for rank, *_ in order["broken"])
    return [
        clock,
        callback_class()(**{**order["ours"], **place()["ours"]}),
        Since(clock, patient=order["patient"] and not broken),
    ]


def place() -> dict:
    """Return the part of the order for this rank's node."""
    return json.loads(os.environ["RIG_PLACE"])


def local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")))


def weights_of(model) -> str:
    """Return what stands for the weights, all shards together."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    digest = hashlib.sha256()
    state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True))
    for name, tensor in sorted(state.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def chance() -> str:
    """Return what stands for the state of every source of random numbers."""
    import numpy as np

    numpys = np.random.get_state()  # noqa: NPY002 - what a training draws from
    state = pickle.dumps(
        (torch.random.get_rng_state().numpy().tobytes(), random.getstate(), numpys)
    )
    return hashlib.sha256(state).hexdigest()


def settle(order: dict, clock: Clock) -> Arguments:
    """Make this process one of its node; return the training's arguments."""
    node, local = place(), local_rank()
    if node["cpus"]:
        os.sched_setaffinity(0, node["cpus"][local % len(node["cpus"])])
    faulthandler.dump_traceback_later(STUCK_S)
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0":
        forget_the_dead(Path(order["folder"]), clock.number)
    if node["cuda"]:
        os.environ["CUDA_VISIBLE_DEVICES"] = node["cuda"][local]
    if node["seen"]:
        cluster_space.enter({Path(order["machine"]) / "gpus.conf": Path(node["seen"][local])})
    alone = node["cuda"] or node["seen"]
    Arguments.ordinal = None if not node["gpus"] else 0 if alone else local
    broken = {
        OURS / file: Path(fake) for rank, file, fake in order["broken"] if rank == clock.number
    }
    if broken:
        cluster_space.enter(broken)
        for name in [name for name in sys.modules if name.partition(".")[0] == "autocard"]:
            del sys.modules[name]
    plain = {
        "per_device_train_batch_size": 4,
        "max_steps": order["steps"],
        "logging_steps": order["steps"],
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": 3,
    }
    return Arguments(node["output"], **{**plain, **order["args"]})


def forget_the_dead(folder: Path, number: int) -> None:
    """Where torchrun has started its workers again, take away where the dead ones listened: gloo would look for them.

    The store of torchrun's agent outlives them (torch 2.13, --master-addr and c10d with one node).
    What autocard wrote into it stays.
    """
    done = folder / f"forgotten-{os.environ['TORCHELASTIC_RESTART_COUNT']}"
    if number == 0:
        store = dist.TCPStore(
            os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False
        )
        keys = [key for key in store.list_keys() if "autocard" not in key and "cpu//" in key]
        done.with_suffix(".new").write_text("\n".join(store.list_keys()), encoding="utf-8")
        for key in keys:
            store.delete_key(key)
        done.with_suffix(".new").replace(done)
    until_s = time.monotonic() + PATIENCE_S
    while not done.exists() and time.monotonic() < until_s:
        time.sleep(0.01)


def small() -> torch.nn.Module:
    return training.bert(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )


def train(order: dict, clock: Clock) -> None:
    """Train with a Trainer, which wraps the model in DDP where there is a process group."""
    args, model = settle(order, clock), small()
    clock.log("settled", 0)
    if clock.number == order["more"]:
        Trainer(
            model=small(), args=args, callbacks=callbacks({**order, "patient": False}, clock)[1:2]
        )
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=training.dataset(64),
        eval_dataset=training.dataset(16, seed=1),
        callbacks=callbacks(order, clock),
    )
    resume = get_last_checkpoint(args.output_dir) if order["resume"] == "last" else order["resume"]
    for _ in range(order["trainings"]):
        trainer.train(resume_from_checkpoint=resume)
        for _ in range(order["evaluations"]):
            clock.log("evaluates", 0)
            trainer.evaluate()
            clock.log("evaluated", 0)
    clock.log("chance", chance())
    clock.log("weights", weights_of(model))


def loop(order: dict, clock: Clock) -> None:
    """Train in a custom loop that fires a Trainer's events: FSDP does not train on CPUs in a Trainer."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
    from transformers.trainer_callback import CallbackHandler, TrainerControl, TrainerState

    set_seed(3)
    dist.init_process_group("gloo")
    args, model = settle(order, clock), small()
    clock.log("settled", 0)
    if order["loop"] == "FSDP2":
        fully_shard(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    else:
        model = FullyShardedDataParallel(model, device_id=torch.device("cpu"), use_orig_params=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    state = TrainerState(
        max_steps=order["steps"],
        is_local_process_zero=local_rank() == 0,
        is_world_process_zero=clock.number == 0,
    )
    tell = CallbackHandler(callbacks(order, clock), model, None, optimizer, None)
    control = tell.on_init_end(args, state, TrainerControl())
    control = tell.on_train_begin(args, state, control)
    for step in range(order["steps"]):
        torch.manual_seed(100 * step + clock.number)
        ids = torch.randint(2, 60, (4, 12))
        model(input_ids=ids, labels=ids.sum(1) % 2).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        state.global_step += 1
        control = tell.on_step_end(args, state, control)
    tell.on_train_end(args, state, control)
    clock.log("chance", chance())
    clock.log("weights", weights_of(model))
    clock.log("kind", type(model).__name__)


def main(file: str) -> None:
    warnings.simplefilter("ignore")
    order = json.loads(Path(file).read_text())
    number = int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")))
    clock = Clock(order, number)
    torch.set_num_threads(1)
    code = 1
    connections = Connections()
    if order["connects"]:
        connections.start()
    try:
        (loop if order["loop"] else train)(order, clock)
        if order["connects"]:
            clock.log("connections", len(connections.mine), connections.broken())
        code = 0
    finally:
        clock.log("exit", code)
        if "RIG_FORKED" in os.environ:
            # as at the end of any process; one that was forked would do without
            atexit._run_exitfuncs()


if __name__ == "__main__":
    if "RIG_FORKED" in os.environ:
        # As in a process that was started by exec: its launcher's handlers are not its own.
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main(sys.argv[1])
