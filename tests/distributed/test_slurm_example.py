"""The scripts that cluster users submit, run as sbatch runs them; srun, scontrol and apptainer are stand-ins."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest

from autocard.record import RunRecord
from autocard.settings import resolve
from support import ROOT, cluster_space, models, slurm_stand_in

pytestmark = pytest.mark.timeout(600)

EXAMPLES = ROOT / "examples" / "slurm"
SCRIPTS = sorted(EXAMPLES.glob("*.sbatch"))
JOB = str(os.getpid() % 10_000 + 1)
"""The scripts choose a port by it."""
PATIENCE_S = 240.0
"""Far more than each part takes: a hang, and no measure of speed."""


def wait_until(what, process):
    until_s = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert process.poll() is None, "the job ended too early"
        assert time.monotonic() < until_s, "it took too long"
        time.sleep(0.05)
    return found


def preempt(process):
    """End a job without grace, as Slurm does: all its processes, whatever sessions they have made for themselves."""
    everything = [
        psutil.Process(process.pid),
        *psutil.Process(process.pid).children(recursive=True),
    ]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for one in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(number)
    psutil.wait_procs(everything[1:], PATIENCE_S)


class Cluster:
    """A shared folder with model and data, a node-local one, and two nodes."""

    def __init__(self, folder: Path) -> None:
        self.shared, self.bin, self.local = folder / "shared", folder / "bin", folder / "local"
        for made in (self.shared, self.local, folder / "boot"):
            made.mkdir()
        slurm_stand_in.install(self.bin)
        (self.bin / "torchrun").write_text(
            f'#!/bin/sh\nexec "{sys.executable}" -W ignore -m torch.distributed.run "$@"\n',
            encoding="ascii",
        )
        (self.bin / "torchrun").chmod(0o755)
        models.llama().save_pretrained(self.shared / "model")
        models.tokenizer().save_pretrained(self.shared / "model")
        row = json.dumps({"text": "the cat sat on a mat the dog ran off"}) + "\n"
        (self.shared / "data.jsonl").write_text(row * 64, encoding="ascii")
        for file in EXAMPLES.iterdir():
            if file.is_file():
                shutil.copy(file, self.shared)
        for number in range(2):
            (folder / "boot" / str(number)).write_text(f"{uuid.uuid4()}\n", encoding="ascii")
        self.apart = cluster_space.permitted(folder / "boot" / "0")
        self.boots = folder / "boot"
        self.output = self.shared / "out"
        self.log = folder / "slurm.out"

    def submit(self, script, *arguments, nodes=2, restarts=0):
        """Start a copy of *script*, as Slurm does, in a session of its own."""
        spooled = self.local / f"slurm_script_{restarts}"
        shutil.copy(EXAMPLES / script, spooled)
        own = ("AUTOCARD_", "SLURM_", "TORCHELASTIC_", "ACCELERATE_", "HF_")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        environ |= slurm_stand_in.batch(self.shared, JOB, nodes, restarts)
        environ |= {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "TMPDIR": str(self.local),
            "NPROC_PER_NODE": "1",
        }
        environ |= {
            "HF_HOME": str(self.local / "hf"),
            "OMP_NUM_THREADS": "1",
            "AUTOCARD_COUNTRY_ISO_CODE": "FRA",
        }
        if self.apart and nodes > 1:
            environ["STAND_IN_BOOT_IDS"] = str(self.boots)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                ["bash", str(spooled), *arguments],
                env=environ,
                cwd=self.shared,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def steps(self):
        return max(
            (int(found.name.rpartition("-")[2]) for found in self.output.glob("checkpoint-*")),
            default=0,
        )

    @property
    def requeued(self):
        asked = self.bin / "scontrol.asked"
        return asked.read_text(encoding="ascii").splitlines() if asked.exists() else []

    @property
    def record(self):
        return RunRecord.model_validate_json(
            (self.output / "autocard.json").read_text(encoding="utf-8")
        )


def arguments(cluster, max_steps):
    return (
        *(str(cluster.shared / "model"), str(cluster.shared / "data.jsonl"), str(cluster.output)),
        *(
            "--max-steps",
            str(max_steps),
            "--save-steps",
            "40",
            "--look-steps",
            "5",
            "--max-length",
            "16",
        ),
        *("--base-model", "example-org/tiny-llama"),
    )


FAILING = """
import os
from pathlib import Path
node = Path(os.environ["AUTOCARD_LEDGER_DIR"])
node.mkdir(exist_ok=True)
(node / "leg-1.json").write_text("a reading")
raise SystemExit(3)
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """One job on two nodes: out of time, requeued; preempted, requeued; then run to its end."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    told = {"cluster": cluster}

    first = cluster.submit("lora_multinode.sbatch", *arguments(cluster, 4000))
    wait_until(lambda: cluster.steps, first)
    first.send_signal(signal.SIGUSR1)  # --signal=B:USR1@…: to the script alone
    told["out of time"] = first.wait(PATIENCE_S), cluster.requeued, cluster.record, cluster.steps
    told["left on the node"] = [list(cluster.local.glob("autocard-*"))]
    reached = cluster.steps

    second = cluster.submit("lora_multinode.sbatch", *arguments(cluster, 4000), restarts=1)
    wait_until(lambda: cluster.steps > reached, second)
    time.sleep(0.5)
    preempt(second)
    told["preempted"] = second.wait(PATIENCE_S), cluster.requeued

    last = cluster.submit(
        "lora_multinode.sbatch", *arguments(cluster, cluster.steps + 20), restarts=2
    )
    told["done"] = last.wait(PATIENCE_S), cluster.requeued, cluster.record
    told["left on the node"].append(list(cluster.local.glob("autocard-*")))
    return told


@pytest.mark.slow
def test_a_job_whose_time_is_up_saves_stops_and_asks_to_be_requeued(job):
    status, requeued, record, reached = job["out of time"]

    assert status == 0, job["cluster"].log.read_text(encoding="utf-8")[-4000:]
    assert requeued == [f"requeue {JOB}"]
    assert (record.run.status, record.run.global_step) == ("stopped", reached)
    assert reached % 5 == 0
    assert not list(job["cluster"].output.glob("_stop*"))


@pytest.mark.slow
def test_a_job_that_was_killed_asks_for_nothing_and_one_that_is_done_does_neither(job):
    assert job["preempted"][0] != 0
    assert len(job["preempted"][1]) == 1
    assert job["done"][0] == 0, job["cluster"].log.read_text(encoding="utf-8")[-4000:]
    assert len(job["done"][1]) == 1


@pytest.mark.slow
def test_nothing_is_left_on_the_nodes_when_a_job_has_stopped_and_when_it_is_done(job):
    assert job["left on the node"] == [[], []]


@pytest.mark.slow
def test_the_card_of_a_requeued_job_is_that_of_one_run_in_three_legs(job):
    record = job["done"][2]

    assert record.run.status == "finished"
    assert [leg.status for leg in record.legs] == ["stopped", "interrupted", "finished"]
    assert record.legs[1].step_begin == record.legs[0].step_end
    assert record.legs[2].step_begin <= record.legs[1].step_end
    assert record.time.repeated_steps == record.legs[1].step_end - record.legs[2].step_begin
    card = (job["cluster"].output / "README.md").read_text(encoding="utf-8")
    assert ", 3 starts" in card
    assert "launched by torchrun under Slurm, restarted 2 times by Slurm" in card
    assert "base_model: example-org/tiny-llama" in card


@pytest.mark.slow
def test_the_card_counts_the_nodes_of_the_job_and_hears_all_of_them(job):
    record = job["done"][2]

    assert (record.job.workload_manager, record.job.job_id, record.job.step_id) == (
        "slurm",
        JOB,
        "0",
    )
    assert (record.job.nodes_allocated, record.job.nodes_expected, record.hardware.nodes) == (
        2,
        2,
        2,
    )
    assert (record.job.world_size, record.job.restarts, record.job.launcher) == (2, 2, "torchrun")
    if not job["cluster"].apart:
        pytest.skip("nodes cannot have boot ids of their own here")
    assert record.job.nodes_reporting == 2
    assert [len(leg.hosts) for leg in record.legs][-1] == 2


@pytest.mark.slow
def test_nothing_of_the_cluster_is_in_what_is_published(job):
    output = job["cluster"].output
    published = [
        file
        for file in output.rglob("*")
        if file.suffix in {".md", ".json"} and "_autocard" not in file.parts
    ]

    text = "\n".join(
        file.read_text(encoding="utf-8") for file in published if "checkpoint" not in str(file)
    )

    assert "planted" not in text
    assert str(job["cluster"].shared.parent) not in (output / "README.md").read_text(
        encoding="utf-8"
    )


def test_a_training_that_fails_ends_its_job_with_a_failure_and_is_not_requeued(
    tmp_path, monkeypatch
):
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster")
    (tmp_path / "failing.py").write_text(FAILING, encoding="ascii")
    monkeypatch.setenv("TRAIN", str(tmp_path / "failing.py"))

    failed = cluster.submit("lora_multinode.sbatch", *arguments(cluster, 10), nodes=1)

    assert failed.wait(PATIENCE_S) != 0
    assert "failing.py FAILED" in cluster.log.read_text(encoding="utf-8")
    assert cluster.requeued == []
    # what it left on the node is in the output folder, where another start finds it
    assert (cluster.output / "_autocard" / "leg-1.json").read_text() == "a reading"
    assert not list(cluster.local.glob("autocard-*"))


@pytest.mark.slow
def test_in_a_container_the_driver_the_site_file_and_the_folders_are_there(tmp_path, monkeypatch):
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster")
    site = tmp_path / "site.toml"
    site.write_text("pue = 1.2\n", encoding="ascii")
    (cluster.bin / "torchrun").write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" > "$OUT"\n', encoding="ascii"
    )
    monkeypatch.setenv("OUT", str(tmp_path / "torchrun.asked"))
    image = cluster.shared / "image.sif"

    # AUTOCARD_SITE is the job's own variable: an administrator sets it in a profile.
    script = cluster.shared / "with_site.sbatch"
    script.write_text(
        f"export AUTOCARD_SITE={site}\n. {EXAMPLES / 'lora_apptainer.sbatch'}\n", encoding="utf-8"
    )
    ended = cluster.submit(script, str(image), *arguments(cluster, 10), nodes=1)

    assert ended.wait(PATIENCE_S) == 0, cluster.log.read_text(encoding="utf-8")
    asked = (cluster.bin / "apptainer.asked").read_text(encoding="utf-8").splitlines()
    bound = {asked[number + 1] for number, word in enumerate(asked) if word == "--bind"}
    assert asked[:2] == ["exec", "--nv"]
    assert bound == {
        str(site),
        str(cluster.output),
        *(str(cluster.shared / name) for name in ("model", "data.jsonl")),
    } | {str(cluster.shared)}
    assert asked[asked.index(str(image)) + 1] == "torchrun"
    assert str(cluster.shared / "train_lora.py") in (tmp_path / "torchrun.asked").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_says_how_it_is_used_when_arguments_are_missing(script):
    done = subprocess.run(
        ["bash", str(script)],
        env={**os.environ, "SLURM_SUBMIT_DIR": "/"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert f"usage: sbatch {script.name}" in done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_job_can_be_started_again_and_is_told_before_its_time_is_up(script):
    options = re.findall(r"^#SBATCH (\S+)$", script.read_text(encoding="utf-8"), re.MULTILINE)

    assert {"--requeue", "--open-mode=append", "--ntasks-per-node=1"} <= set(options)
    assert any(option.startswith("--signal=B:USR1@") for option in options)


def test_every_example_in_the_site_file_is_a_setting_that_autocard_takes(tmp_path):
    text = (EXAMPLES / "autocard.toml").read_text(encoding="utf-8")
    examples = re.findall(r"^# (\w+ = .+)$", text, re.MULTILINE)
    # one key stands there twice, for two countries
    last = {line.partition(" = ")[0]: line for line in examples}
    site = tmp_path / "site.toml"
    site.write_text("\n".join(last.values()) + "\n", encoding="utf-8")

    settings = resolve({}, {"AUTOCARD_SITE": str(site)}, tmp_path)

    assert set(settings.sources) == set(last)
    assert set(settings.sources.values()) == {"site file"}
    assert resolve({}, {"AUTOCARD_SITE": str(EXAMPLES / "autocard.toml")}, tmp_path).sources == {}
