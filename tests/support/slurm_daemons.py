"""Runs the daemons of a real Slurm of two nodes on this one machine, until its standard input ends.

munged, MariaDB, slurmdbd, slurmctld and two slurmd, on free ports of 127.0.0.1, with all files in one
folder. Nothing in /etc is changed: this process and all that it starts see an /etc/passwd and an
/etc/hosts of their own, in which root has another name. Each node is a slurmd with a mount namespace
and a host name of its own: its boot id, its disk (`local`), its GPUs and its power meter are its own.
The meters are files of IBM's Active Energy Manager, which Slurm has a plugin for and which a thread
here writes: their truth is `METER_W` × seconds.

Usage: slurm_daemons.py FOLDER NVML, the latter being the folder of a `Machine` of nvml_stand_in.py. Prints "ready" when both nodes are idle. The line `node N` on
its standard input starts a node again, with a new boot id. Needs root. All processes are children of
this one, those that detach themselves included, and are killed when it ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import uuid
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import cluster_space
from support.nvml_stand_in import Gpu, Machine, uuid_of

USER, ACCOUNT, NODE, PARTITION = (
    "planteduser",
    "plantedaccount",
    "plantednode",
    "plantedpartition",
)
NODES = (1, 2)
CPUS = 2
METER_W, METER_S = 500.0, 0.2
"""What the meter of each node reads, and how often."""
GPU_W = {1: 300.0, 2: 200.0}
"""Power of the one GPU of each node."""
PATIENCE_S = 60.0
"""Far more than a daemon takes to start."""
BECOME_SUBREAPER = 36

SLURMDBD = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd_port}
SlurmUser={user}
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={db_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
"""

# MinJobAge: scontrol still shows a job that has ended. batch_sched_delay: a job starts at once.
# config_overrides: the nodes have the CPUs that stand here, whatever this machine has.
SLURM = """\
ClusterName=plantedcluster
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ctl_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=2
MinJobAge=3600
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=5,energy=1
AcctGatherEnergyType=acct_gather_energy/ibmaem
AcctGatherNodeFreq=1
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd_port}
AccountingStoragePass={folder}/munge.sock
AccountingStorageTRES=gres/gpu
SlurmctldTimeout=120
SlurmdTimeout=120
"""
NODE_LINE = "NodeName={name} NodeHostname={name} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory=4000 Gres=gpu:1\n"


class Daemons:
    """The daemons, each a child of this process."""

    def __init__(self, folder: Path, nvml: Path) -> None:
        self.folder, self.nvml = folder, nvml
        self.meters, self.over = threading.Thread(target=self._write_meters), threading.Event()
        self.nodes: dict[int, subprocess.Popen[bytes]] = {}

    def ends_of_logs(self) -> str:
        """Return what the daemons said last."""
        logs = [*self.folder.glob("*.out"), *self.folder.glob("*.log")]
        ends = (f"{log.name}: {log.read_text(errors='replace')[-500:]}" for log in logs)
        return "\n".join(ends)

    def start(self) -> None:
        self._see_own_names()
        self._start_munge()
        self._write_configuration(*free_ports(3 + len(NODES)))
        self._start_database()
        os.environ["SLURM_CONF"] = str(self.folder / "slurm.conf")
        self._begin("slurmdbd", "-D")
        self._until("sacctmgr", "--noheader", "list", "cluster")
        add = ("sacctmgr", "--immediate", "add")
        self._run(*add, "cluster", "plantedcluster")
        self._run(*add, "account", ACCOUNT)
        self._run(*add, "user", USER, f"account={ACCOUNT}")
        self._begin("slurmctld", "-D", "-i")
        self._until("scontrol", "ping")
        self.meters.start()
        for number in NODES:
            self.start_node(number)
        self._wait(self._all_idle, "two idle nodes")

    def start_node(self, number: int) -> None:
        """Start a node's slurmd, as its boot does; the node has a new boot id and an empty disk."""
        (self.folder / f"boot-{number}").write_text(f"{uuid.uuid4()}\n", encoding="ascii")
        disk = self.folder / f"local-{number}"
        shutil.rmtree(disk, ignore_errors=True)
        disk.mkdir()
        self.nodes[number] = self._begin(
            sys.executable, __file__, str(self.folder), str(self.nvml), node=number
        )
        (self.folder / f"slurmd-{number}").write_text(str(self.nodes[number].pid), encoding="ascii")

    def end(self) -> None:
        """Kill all that was started, and what that started, and remove their files."""
        while left := psutil.Process().children(recursive=True):
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self.reap()
            time.sleep(0.02)
        self.over.set()
        if self.meters.ident is not None:
            self.meters.join()
        shutil.rmtree(self.folder)

    @staticmethod
    def reap() -> None:
        """Forget the children that have ended, those of daemons that ended before them included."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    # -- parts of a start --

    def _see_own_names(self) -> None:
        """Show this process and its children another name of root, and names of the nodes."""
        seen = {
            Path("/etc/passwd"): f"{USER}:x:0:0::{self.folder}:/bin/sh\n",
            Path("/etc/hosts"): f"127.0.0.1 {' '.join(f'{NODE}{n}' for n in NODES)}\n",
        }
        instead = {}
        for place, line in seen.items():
            instead[place] = self.folder / place.name
            instead[place].write_text(line + place.read_text(encoding="utf-8"), encoding="utf-8")
        cluster_space.enter(instead)

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        sock = self.folder / "munge.sock"
        self._begin(
            *("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={sock}"),
            *(f"--pid-file={self.folder}/munged.pid", f"--seed-file={self.folder}/munge.seed"),
            f"--log-file={self.folder}/munged.log",
        )
        self._until("munge", "--no-input", f"--socket={sock}")

    def _start_database(self) -> None:
        data, sock = self.folder / "db", self.folder / "db.sock"
        self._run(
            *("mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        )
        self._begin(
            *("mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", f"--socket={sock}"),
            *(f"--port={self.db_port}", "--bind-address=127.0.0.1"),
            *(f"--pid-file={self.folder}/mariadbd.pid", "--innodb-buffer-pool-size=64M"),
            *("--innodb-log-file-size=64M", "--innodb-lock-wait-timeout=900"),
        )
        client = ("mariadb", "--no-defaults", "--user=root", f"--socket={sock}", "--execute")
        self._until(*client, "select 1")
        self._run(
            *client,
            "create database slurm; create user slurm@'127.0.0.1' identified by 'slurm'; "
            "create user slurm@localhost identified by 'slurm'; "
            "grant all on slurm.* to slurm@'127.0.0.1'; grant all on slurm.* to slurm@localhost",
        )

    def _write_configuration(self, db_port: int, dbd_port: int, ctl_port: int, *ports: int) -> None:
        self.db_port = db_port
        for name in ("state", "db", "local"):
            (self.folder / name).mkdir()
        (self.folder / "gpu").touch()
        filled = {
            "folder": self.folder,
            "user": USER,
            "db_port": db_port,
            "dbd_port": dbd_port,
            "ctl_port": ctl_port,
        }
        lines = [
            NODE_LINE.format(name=f"{NODE}{number}", port=port, cpus=CPUS)
            for number, port in zip(NODES, ports, strict=True)
        ]
        names = ",".join(f"{NODE}{number}" for number in NODES)
        partition = f"PartitionName={PARTITION} Nodes={names} Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4\n"
        self._write("slurm.conf", SLURM.format(**filled) + "".join(lines) + partition)
        self._write("slurmdbd.conf", SLURMDBD.format(**filled))
        self._write(
            "gres.conf",
            f"AutoDetect=off\nNodeName={names} Name=gpu File={self.folder / 'gpu'}\n",
        )
        for number in NODES:
            (self.folder / f"platform-{number}" / "aem.0").mkdir(parents=True)
            conf = self.folder / f"gpus-{number}"
            conf.mkdir()
            Machine(conf, [Gpu(uuid_of(number), watts=GPU_W[number])]).write()

    def _write_meters(self) -> None:
        while not self.over.wait(METER_S):
            readings = {
                "energy1_input": time.monotonic() * METER_W * 1e6,
                "power1_average": METER_W * 1e6,
            }
            for number in NODES:
                for name, reading in readings.items():
                    file = self.folder / f"platform-{number}" / "aem.0" / name
                    new = file.with_suffix(".new")
                    new.write_text(f"{reading:.0f}\n", encoding="ascii")
                    new.replace(file)

    # -- processes --

    def _write(self, name: str, text: str) -> None:
        file = self.folder / name
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")

    def _begin(self, *command: str, node: int | None = None) -> subprocess.Popen[bytes]:
        environ = {**os.environ, **({} if node is None else {"SLURM_TEST_NODE": str(node)})}
        name = Path(command[0]).name if node is None else f"node-{node}"
        with (self.folder / f"{name}.out").open("ab") as out:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env=environ,
            )

    def _run(self, *command: str) -> None:
        with (self.folder / "commands.out").open("ab") as out:
            subprocess.run(
                command,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=PATIENCE_S,
            )

    def _until(self, *command: str) -> None:
        """Wait until *command* ends well."""

        def succeeds() -> bool:
            try:
                self._run(*command)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
                return False
            return True

        self._wait(succeeds, " ".join(command))

    @staticmethod
    def _all_idle() -> bool:
        asked = ["sinfo", "--noheader", "--Node", "--format=%T"]
        states = subprocess.run(asked, check=False, capture_output=True, text=True).stdout.split()
        return states == ["idle"] * len(NODES)

    @staticmethod
    def _wait(what, name: str) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while not what():
            if time.monotonic() > until_s:
                msg = f"never: {name}"
                raise TimeoutError(msg)
            time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that no process uses now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def become_node(number: int, folder: Path, nvml: Path) -> None:
    """Become the slurmd of a node; never returns."""
    instead = {
        cluster_space.BOOT_ID: folder / f"boot-{number}",
        Path("/sys/devices/platform"): folder / f"platform-{number}",
        folder / "local": folder / f"local-{number}",
        nvml / "gpus.conf": folder / f"gpus-{number}" / "gpus.conf",
    }
    cluster_space.enter(instead)
    cluster_space.take_host_name(f"{NODE}{number}")
    slurmd = shutil.which("slurmd") or "slurmd"
    os.execv(slurmd, [slurmd, "-D", "-N", f"{NODE}{number}"])  # noqa: S606


def main(folder: Path, nvml: Path) -> None:
    """Start the daemons, obey, and end them."""
    ctypes.CDLL(None).prctl(BECOME_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    daemons = Daemons(folder, nvml)
    try:
        try:
            daemons.start()
        except Exception:
            print(f"{traceback.format_exc()}\n{daemons.ends_of_logs()}", flush=True)
            raise
        print("ready", flush=True)
        while True:
            daemons.reap()
            if not select.select([sys.stdin.fileno()], [], [], 0.2)[0]:
                continue
            order = os.read(sys.stdin.fileno(), 4096).decode().split()
            if not order:
                return
            daemons.start_node(int(order[1]))
    finally:
        daemons.end()


if __name__ == "__main__":
    folders = [Path(argument) for argument in sys.argv[1:]]
    node = os.environ.pop("SLURM_TEST_NODE", None)
    if node is None:
        main(*folders)
    else:
        become_node(int(node), *folders)
