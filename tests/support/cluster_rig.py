"""A cluster on one machine: torchruns and sruns, each node with a boot id and GPUs of its own.

Each node is a process in its own mount namespace (cluster_space), where
`/proc/sys/kernel/random/boot_id` and the configuration of NVIDIA's library (nvml_stand_in) are its
own. torchrun is the real one, called as its command calls it, in a process that was forked from one
that has imported torch already, and its workers are forked (`--run-path --start-method fork`): a
rank costs no import. `Job.launcher = "torchrun, by exec"` starts the command itself. srun is played
by plain processes with Slurm's variables.

Run as a program it is the process that forks: reads the path of an order a line, says the pids of
its nodes.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import cluster_space
from support.nvml_stand_in import Gpu, Machine

RANK = Path(__file__).parent / "cluster_rank.py"
OURS = {
    "country_iso_code": "FRA",
    "ram_power_w": 10.0,
    "cpu_power_w": 10.0,
    "measure_power_secs": 1.0,
    "base_model": "org/tiny-bert",
}
STARTS, SETTLED_S = 3, 60.0
"""How often a job is started whose ranks do not find each other in so many seconds."""
LONG_S = 120.0
"""Seconds after which something hangs that should not."""


def gpus(node: int, count: int, watts: float = 200.0) -> list[Gpu]:
    """Boards that no other node has, each with a power of its own."""
    return [
        Gpu(
            f"GPU-{node + 10:x}{number:x}b2c3d4-0000-4000-8000-{node:06x}{number:06x}",
            watts=watts + 50 * number,
        )
        for number in range(count)
    ]


@dataclass
class Node:
    """One node of a job."""

    boards: list[Gpu]
    ranks: int = 2
    boot: str | None = None
    """The boot id; None: that of this machine."""
    output: Path | None = None
    """None: the job's shared folder."""
    cuda: list[str] | None = None
    """CUDA_VISIBLE_DEVICES of each local rank."""
    seen: list[list[int]] | None = None
    """Numbers of the boards that NVML shows to each local rank, as control groups do."""
    cpus: list[list[int]] | None = None
    """CPUs that each local rank may use."""
    ours: dict[str, Any] = field(default_factory=dict)
    """Settings of autocard on this node."""
    env: dict[str, str] = field(default_factory=dict)
    read_only: bool = False
    """Whether its output folder cannot be written."""


@dataclass
class Rank:
    """Events of one rank, read from its log."""

    log: Path

    @property
    def lines(self) -> list[list[str]]:
        return (
            [line.split() for line in self.log.read_text().splitlines()]
            if self.log.exists()
            else []
        )

    def at(self, word: str, number: object = None) -> float | None:
        """Return the moment (monotonic seconds) of the first line with *word*; None: there is none."""
        found = (line for line in self.lines if " ".join(line).startswith(f"{word} "))
        return next(
            (float(line[-1]) for line in found if number is None or line[1] == str(number)), None
        )

    @property
    def last_step(self) -> int:
        return max([int(line[1]) for line in self.lines if line[0] in {"begin", "step"}], default=0)

    @property
    def last_s(self) -> float:
        return float(self.lines[-1][-1])

    @property
    def exit(self) -> int | None:
        """Its own exit status; None: it was ended from outside."""
        return next((int(line[1]) for line in self.lines if line[0] == "exit"), None)

    @property
    def weights(self) -> str | None:
        return next((line[1] for line in self.lines if line[0] == "weights"), None)

    @property
    def chance(self) -> str | None:
        return next((line[1] for line in self.lines if line[0] == "chance"), None)

    @property
    def kind(self) -> str | None:
        return next((line[1] for line in self.lines if line[0] == "kind"), None)

    @property
    def connections(self) -> tuple[int, int]:
        """Connections that the training program opened, and those of them that broke."""
        opened, broken = next(line[1:3] for line in self.lines if line[0] == "connections")
        return int(opened), int(broken)

    @property
    def ending_s(self) -> float:
        """Seconds that autocard had of the end of training."""
        return self.at("ended") - self.at("end")

    @property
    def beginning_s(self) -> float:
        return self.at("begun") - self.at("begin")


@dataclass
class Job:
    """One start of a training on all its nodes."""

    folder: Path
    """Of this start: order, logs; output unless a node has its own."""
    nodes: list[Node]
    launcher: str = "torchrun"
    """torchrun; torchrun, c10d; torchrun, by exec; srun (with a process group); srun, no group."""
    ours: dict[str, Any] | None = field(default_factory=lambda: dict(OURS))
    """Settings of autocard; None: AUTOCARD_DISABLED=1."""
    steps: int = 20
    step_s: float = 0.1
    patient: bool = False
    """Whether the first step waits until CodeCarbon runs."""
    faults: list[dict[str, Any]] = field(default_factory=list)
    """rank, at (begin, end, ended, or a step), do (kill, stop, term, raise, sleep)."""
    broken: list[tuple[int, str, str]] = field(default_factory=list)
    """Rank, a file of autocard, what this rank finds in its place."""
    args: dict[str, Any] = field(default_factory=dict)
    """TrainingArguments."""
    loop: str = ""
    """FSDP or FSDP2: a loop of its own; empty: a Trainer."""
    restarts: int = 0
    """How often torchrun starts its workers again."""
    evaluations: int = 0
    """After each training."""
    trainings: int = 1
    connects: bool = False
    """Whether a thread of the training program opens connections all the time, which must all stay
    open."""
    more: int | None = None
    """A rank that makes one trainer more than the others, and does not train it."""
    resume: str | None = None
    """A checkpoint, or "last": the last one in the output folder, where there is one."""
    output: Path | None = None
    """None: a folder inside `folder`."""
    env: dict[str, str] = field(default_factory=dict)
    slurm: dict[str, str] = field(default_factory=dict)
    pids: list[int] = field(default_factory=list)

    @property
    def shared(self) -> Path:
        return self.output or self.folder / "out"

    @property
    def world(self) -> int:
        return sum(node.ranks for node in self.nodes)

    @property
    def ranks(self) -> list[Rank]:
        return [Rank(self.folder / f"rank-{number}.log") for number in range(self.world)]

    def of_node(self, number: int) -> list[Rank]:
        first = sum(node.ranks for node in self.nodes[:number])
        return self.ranks[first : first + self.nodes[number].ranks]

    @property
    def statuses(self) -> list[int | None]:
        """Exit statuses of the launchers (srun: of the tasks), as a shell would have them; None: still running."""
        files = [self.folder / f"{number}.status" for number in range(len(self.pids))]
        return [int(file.read_text()) if file.exists() else None for file in files]

    @property
    def over(self) -> bool:
        return None not in self.statuses

    @property
    def record(self) -> dict[str, Any]:
        return json.loads((self.shared / "autocard.json").read_text())

    @property
    def card(self) -> str:
        return (self.shared / "README.md").read_text()

    @property
    def said(self) -> str:
        """All that its processes printed."""
        return "".join(
            file.read_text(errors="replace") for file in sorted(self.folder.glob("*.out"))
        )

    def window(self, number: int) -> tuple[float, float]:
        """Return when training began and ended on a node, by the ranks' own clocks.

        The training of a rank without a group that was stopped when it ended has ended when it went
        on.
        """
        ranks, alone = self.of_node(number), self.launcher == "srun, no group"
        ends = [
            (rank.at("went on") if alone else None) or rank.at("end") or rank.last_s
            for rank in ranks
        ]
        return min(rank.at("begin") for rank in ranks), max(ends)

    def joules(
        self, number: int, boards: Sequence[int] | None = None, *, least: bool = False
    ) -> float:
        """Return what the counters of a node's boards moved in its window: this module's own sum.

        Args:
            number: of the node.
            boards: which of them; None: one for each rank.
            least: each only until its own rank's last word.
        """
        node, ranks = self.nodes[number], self.of_node(number)
        begin_s, end_s = self.window(number)
        ends = [(rank.at("end") or rank.last_s) if least else end_s for rank in ranks]
        chosen = [node.boards[index] for index in (range(node.ranks) if boards is None else boards)]
        return sum(
            board.joules_at(max(until_s, begin_s)) - board.joules_at(begin_s)
            for board, until_s in zip(chosen, ends, strict=True)
        )

    def alive(self) -> list[int]:
        """Return the pids of all its processes."""
        import psutil

        found = []
        for pid in self.pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                found += [
                    pid,
                    *(child.pid for child in psutil.Process(pid).children(recursive=True)),
                ]
        return found

    def signal(self, number: int) -> None:
        """Send a signal to all its processes."""
        for pid in self.alive():
            self.kill(pid, number)

    @staticmethod
    def kill(pid: int, number: int) -> None:
        """Send a signal to one process, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def wait(self, at_most_s: float = LONG_S) -> Job:
        """Wait for its end; what is left then is killed, and that fails."""
        try:
            until(lambda: self.over, at_most_s, lambda: self.said[-4000:])
        finally:
            self.end()
        return self

    def end(self) -> None:
        """Leave nothing behind."""
        if not self.over:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            until(lambda: self.over, 20, lambda: "a killed process goes on")


def until(what: Callable[[], Any], at_most_s: float, why: Callable[[], str] = lambda: "") -> Any:
    until_s = time.monotonic() + at_most_s
    while not (found := what()):
        assert time.monotonic() < until_s, f"it took too long: {why()}"
        time.sleep(0.05)
    return found


class Rig:
    """Starts jobs."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine, self.folder, self._boots, self._lock = machine, folder, 0, threading.Lock()
        keep = {
            name: value
            for name, value in machine.env.items()
            if not name.startswith(
                ("ACCELERATE_", "AUTOCARD_", "CODECARBON_", "SLURM_", "CUDA_", "RANK", "WORLD_")
            )
        }
        env = {
            **keep,
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "HOME": str(folder),
            "TMPDIR": str(folder),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, str(self.boot_id()[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        self.refused = self.process.stdout.readline().strip().removeprefix("ready").strip()
        """Why a node cannot have a boot id of its own here; empty: it can."""

    def boot_id(self) -> tuple[str, Path]:
        """Make up a boot id; return it and a file that holds it."""
        self._boots += 1
        file, made = self.folder / f"boot-{self._boots}", str(uuid.uuid4())
        file.write_text(made + "\n", encoding="ascii")
        return made, file

    def start(self, job: Job) -> Job:
        """Start *job*; return when its ranks have found each other, before anything of autocard has happened.

        torch's process groups hang now and then when they are made, with many ranks on few cores:
        then it starts again.
        """
        for _ in range(STARTS):
            self._start(job)
            until_s = time.monotonic() + SETTLED_S
            while time.monotonic() < until_s:
                if job.over or all(rank.at("settled") for rank in job.ranks):
                    return job
                time.sleep(0.05)
            job.end()
            for file in [
                *job.folder.glob("rank-*.log"),
                *job.folder.glob("*.status"),
                *job.folder.glob("*.out"),
            ]:
                file.unlink()
        msg = "torch's processes did not find each other"
        raise AssertionError(msg)

    def _start(self, job: Job) -> None:
        job.folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        order = {
            **{
                name: value
                for name, value in asdict(job).items()
                if name not in {"nodes", "folder", "output", "pids"}
            },
            "folder": str(job.folder),
            "machine": str(self.machine.folder),
            "port": port,
            "nodes": [self._node(job, number, node) for number, node in enumerate(job.nodes)],
            "broken": [
                (rank, file, self._fake(job, index, text))
                for index, (rank, file, text) in enumerate(job.broken)
            ],
        }
        path = job.folder / "order.json"
        path.write_text(json.dumps(order), encoding="utf-8")
        with self._lock:
            self.process.stdin.write(f"{path}\n")
            self.process.stdin.flush()
            job.pids = json.loads(self.process.stdout.readline())

    def run(self, job: Job, at_most_s: float = LONG_S) -> Job:
        return self.start(job).wait(at_most_s)

    def run_all(self, jobs: Mapping[str, Job], at_once: int = 2) -> dict[str, Job]:
        """Run *jobs*, some of them at once: most of their time is waiting."""
        with ThreadPoolExecutor(at_once) as pool:
            return dict(zip(jobs, pool.map(self.run, jobs.values()), strict=True))

    def nodes(self, count: int = 2, ranks: int = 2, **changes: Any) -> list[Node]:
        """Make nodes with a boot id and a GPU for each rank."""
        boards = [gpus(number, ranks, watts=200 + 100 * number) for number in range(count)]
        return [Node(mine, ranks, self.boot_id()[0], **changes) for mine in boards]

    def _fake(self, job: Job, index: int, text: str) -> str:
        file = job.folder / f"broken-{index}"
        file.write_text(text, encoding="utf-8")
        return str(file)

    def _node(self, job: Job, number: int, node: Node) -> dict[str, Any]:
        output = node.output or job.shared
        output.mkdir(parents=True, exist_ok=True)
        boot = None
        if node.boot is not None:
            file = job.folder / f"boot-{number}"
            file.write_text(node.boot + "\n", encoding="ascii")
            boot = str(file)
        return {
            "ranks": node.ranks,
            "boot": boot,
            "output": str(output),
            "gpus": len(node.boards),
            "conf": self._conf(job.folder / f"gpus-{number}", node.boards),
            "seen": [
                self._conf(
                    job.folder / f"gpus-{number}-{local}", [node.boards[index] for index in indices]
                )
                for local, indices in enumerate(node.seen or ())
            ],
            "cuda": node.cuda,
            "cpus": node.cpus,
            "ours": node.ours,
            "env": node.env,
            "read_only": node.read_only,
        }

    def _conf(self, folder: Path, boards: list[Gpu]) -> str:
        """Write the state of *boards* for the NVML stand-in; return the file."""
        folder.mkdir(exist_ok=True)
        Machine(folder, boards).write()
        return str(folder / "gpus.conf")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


# -- the process that forks ------------------------------------------------------------------------


def _torchrun(order: dict[str, Any], path: str, number: int) -> None:
    node = order["nodes"][number]
    forked = order["launcher"] != "torchrun, by exec"
    address, port = "127.0.0.1", str(order["port"])
    meeting = ["--node-rank", str(number), "--master-addr", address, "--master-port", port]
    if order["launcher"] == "torchrun, c10d":
        meeting = [
            "--rdzv-backend",
            "c10d",
            "--rdzv-endpoint",
            f"{address}:{port}",
            "--rdzv-id",
            "rig",
        ]
    command = [
        *("--nnodes", str(len(order["nodes"])), "--nproc-per-node", str(node["ranks"])),
        *("--max-restarts", str(order["restarts"])),
        *meeting,
        *(("--start-method", "fork", "--run-path") if forked else ()),
        *(str(RANK), path),
    ]
    if not forked:
        os.execv(  # noqa: S606
            sys.executable,
            [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", *command],
        )
    os.environ["RIG_FORKED"] = "1"
    from torch.distributed import run

    run.main(command)


def _task(order: dict[str, Any], path: str, number: int, local: int, rank: int, world: int) -> None:
    import runpy

    nodes = len(order["nodes"])
    os.environ |= {
        "RIG_FORKED": "1",
        "SLURM_JOB_ID": "4711",
        "SLURM_NNODES": str(nodes),
        "SLURM_JOB_NUM_NODES": str(nodes),
        "SLURM_NODEID": str(number),
        "SLURM_STEP_ID": "0",
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(local),
        "SLURM_NTASKS": str(world),
        "SLURM_STEP_NUM_NODES": str(nodes),
        "SLURM_STEP_NUM_TASKS": str(world),
        **order["slurm"],
    }
    if order["launcher"] == "srun":
        os.environ |= {
            "RANK": str(rank),
            "WORLD_SIZE": str(world),
            "LOCAL_RANK": str(local),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(order["port"]),
        }
    sys.argv = [str(RANK), path]
    runpy.run_path(str(RANK), run_name="__main__")


def _become(order: dict[str, Any], name: str, number: int, work: Callable[[], None]) -> None:
    """Be a node, or a task on it; never returns."""
    import atexit
    import traceback

    code = 1
    try:
        os.setsid()
        atexit._clear()
        output = os.open(
            Path(order["folder"]) / f"{name}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND
        )
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        node = order["nodes"][number]
        os.environ |= {**order["env"], **node["env"], "RIG_PLACE": json.dumps(node)}
        if order["ours"] is None:
            os.environ["AUTOCARD_DISABLED"] = "1"
        instead = {Path(order["machine"]) / "gpus.conf": Path(node["conf"])}
        if node["boot"]:
            instead[cluster_space.BOOT_ID] = Path(node["boot"])
        cluster_space.enter(instead, (Path(node["output"]),) if node["read_only"] else ())
        work()
        code = 0
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:  # noqa: BLE001 - a forked process must not go on with its parent's work
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _fork(order: dict[str, Any], path: str) -> list[int]:
    pids = []
    world, rank = sum(node["ranks"] for node in order["nodes"]), 0
    for number, node in enumerate(order["nodes"]):
        if order["launcher"].startswith("torchrun"):
            tasks = [(f"node-{number}", lambda number=number: _torchrun(order, path, number))]
        else:
            tasks = [
                (
                    f"task-{rank + local}",
                    lambda number=number, local=local, rank=rank: _task(
                        order, path, number, local, rank + local, world
                    ),
                )
                for local in range(node["ranks"])
            ]
        rank += node["ranks"]
        for name, work in tasks:
            pid = os.fork()
            if not pid:
                _become(order, name, number, work)
            pids.append(pid)
    return pids


def main(boot: str) -> None:
    import accelerate  # noqa: F401 - all this: imported once, before the forks
    import datasets  # noqa: F401
    import peft  # noqa: F401
    import torch.distributed.run  # noqa: F401
    from transformers import Trainer, TrainingArguments  # noqa: F401

    import autocard.runtime.sessions  # noqa: F401
    from autocard import AutoCardCallback  # noqa: F401
    from support import training  # noqa: F401

    print(
        "ready"
        if cluster_space.permitted(Path(boot))
        else "ready: a mount namespace is not permitted",
        flush=True,
    )
    children: dict[int, Path] = {}
    while True:
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            code = os.waitstatus_to_exitcode(status)
            made = children.pop(pid)
            made.with_suffix(".new").write_text(
                str(code if code >= 0 else 128 - code), encoding="ascii"
            )
            made.with_suffix(".new").replace(made)
        if not select.select([sys.stdin.fileno()], [], [], 0.05)[0]:
            continue
        path = os.read(sys.stdin.fileno(), 65536).decode().strip()
        if not path:
            return
        # One order at a time: its sender waits for the pids.
        order = json.loads(Path(path).read_text(encoding="utf-8"))
        pids = _fork(order, path)
        children |= {
            pid: Path(order["folder"]) / f"{index}.status" for index, pid in enumerate(pids)
        }
        print(json.dumps(pids), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
