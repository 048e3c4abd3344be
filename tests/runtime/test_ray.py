"""Ray: training with its torch trainer through a crash of a worker, and a search with Ray Tune.

Real Ray on this machine, in a process of its own. Truth: what the workers note of their own steps and
times, and the powers that were given.
"""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from support import TESTS

pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray[train,tune]'")

ROOT = TESTS.parent
RAM_W = 40.0
J_PER_KWH = 3.6e6

START = """
import os, sys, time
os.environ["RAY_TRAIN_V2_ENABLED"] = "1"
from pathlib import Path
import ray
where = Path(sys.argv[1])
ray.init(num_cpus=2, include_dashboard=False, _temp_dir=sys.argv[2])
OURS = dict(country_iso_code="FRA", cpu_power_w=100.0, ram_power_w=40.0, measure_power_secs=1)
"""

TRAIN = (
    START
    + """
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

def loop(config):
    import os, time
    from pathlib import Path
    from transformers import TrainerCallback
    from transformers.trainer import get_last_checkpoint
    from ray.train.huggingface.transformers import RayTrainReportCallback, prepare_trainer
    from autocard import AutoCardCallback
    from support import training

    where, rank = Path(config["where"]), os.environ["RANK"]

    class Steps(TrainerCallback):
        '''Notes the steps that were done; the second worker crashes once.'''
        def on_step_end(self, args, state, *_, **__):
            time.sleep(0.3)
            with (where / f"steps-{rank}").open("a") as file:
                file.write(f"{state.global_step} ")
            if state.global_step == 7 and rank == "1" and not (where / "crashed").exists():
                (where / "crashed").touch()
                os._exit(1)

    out = where / "out"
    trainer = training.trainer(
        out,
        callbacks=[RayTrainReportCallback(), AutoCardCallback(**config["ours"]), Steps()],
        max_steps=10, save_strategy="steps", save_steps=5,
    )
    before = get_last_checkpoint(str(out)) if out.exists() else None
    prepare_trainer(trainer).train(resume_from_checkpoint=before)

result = TorchTrainer(
    loop,
    train_loop_config={"where": str(where), "ours": OURS},
    scaling_config=ScalingConfig(num_workers=2, use_gpu=False),
    run_config=RunConfig(
        storage_path=str(where / "results"), failure_config=FailureConfig(max_failures=1)
    ),
).fit()
result.checkpoint.to_directory(str(where / "handed"))
ray.shutdown()
"""
)

TUNE = (
    START
    + """
from ray import tune
from transformers import Trainer, TrainerCallback
from autocard import AutoCardCallback
from support import training

os.chdir(where)

class Pace(TrainerCallback):
    '''Makes steps last: CodeCarbon starts meanwhile. Notes how long each training took.'''
    def on_train_begin(self, *_, **__):
        self.begun = time.monotonic()
    def on_step_end(self, *_, **__):
        time.sleep(1.0)
    def on_train_end(self, args, state, *_, **__):
        if state.is_hyper_param_search:
            with (where / "seconds").open("a") as file:
                file.write(f"{time.monotonic() - self.begun} ")

def model_init(*_):
    return training.bert()

trainer = Trainer(
    model_init=model_init,
    args=training.arguments("out", max_steps=8, eval_strategy="steps", eval_steps=8),
    train_dataset=training.dataset(32),
    eval_dataset=training.dataset(8, seed=1),
    callbacks=[AutoCardCallback(**OURS), Pace()],
)
trainer.hyperparameter_search(
    hp_space=lambda _: {"learning_rate": tune.loguniform(1e-5, 1e-3)},
    n_trials=2, direction="minimize", backend="ray", storage_path=str(where / "results"),
)
trainer.train()
ray.shutdown()
"""
)


def run(where: Path, script: str) -> None:
    """Run *script* with Ray; end all of its processes."""
    (where / "script.py").write_text(script)
    # Ray's sockets lie in its folder, and their paths must be short.
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as short:
        path = os.pathsep.join([str(ROOT), str(TESTS)])
        with (where / "log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, str(where / "script.py"), str(where), short],
                env={**os.environ, "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait(timeout=480)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
    assert status == 0, (where / "log").read_text()[-4000:]


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "autocard.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("train")
    run(where, TRAIN)
    return where


@pytest.mark.timeout(600)
def test_a_crashed_worker_of_ray_train_is_a_second_start_of_one_run(trained: Path) -> None:
    found = record(trained / "out")
    done = [int(step) for step in (trained / "steps-0").read_text().split()]

    first, second = found["legs"]
    assert (trained / "crashed").exists()
    assert [leg["step_begin"] for leg in (first, second)] == [0, 5]
    assert second["step_end"] == 10
    # The first worker may have begun one more step than the one that crashed.
    assert done.count(6) == done.count(7) == 2
    assert first["repeated_steps"] in {1, 2, 3}
    assert [len(leg["hosts"]) for leg in (first, second)] == [1, 1]
    assert found["run"]["status"] == "finished"


@pytest.mark.timeout(600)
def test_the_card_names_ray_train(trained: Path) -> None:
    job = record(trained / "out")["job"]
    card = (trained / "out" / "README.md").read_text()

    assert (job["launcher"], job["world_size"]) == ("Ray Train", 2)
    assert "1 node, 2 training processes (DDP), launched by Ray Train" in card


@pytest.mark.timeout(600)
def test_the_checkpoint_that_ray_hands_on_carries_the_card(trained: Path) -> None:
    handed = trained / "handed" / "checkpoint"
    card = (handed / "README.md").read_text()

    assert "[More Information Needed]" not in card
    assert "so far, at step 10 of 10" in card
    assert record(handed)["run"]["id"] == record(trained / "out")["run"]["id"]
    for text in (card, (handed / "autocard.json").read_text()):
        for private in (str(trained), socket.gethostname(), f"/{getpass.getuser()}/"):
            assert private not in text


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_trials_of_ray_tune_are_counted_apart_from_the_run(tmp_path: Path) -> None:
    run(tmp_path, TUNE)

    found = record(tmp_path / "out")
    seconds = [float(one) for one in (tmp_path / "seconds").read_text().split()]
    search, energy = found["search"], found["energy"]
    assert (search["backend"], search["trials"], search["trials_unfinished"]) == ("ray", 2, 0)
    assert search["wall_clock_s"] == pytest.approx(sum(seconds), abs=2.0)
    assert len(found["legs"]) == 1
    assert found["time"]["wall_clock_s"] < 1.6 * sum(seconds) / 2
    # Of CPU and memory: the memory draws what was given, on the share of the trial's CPUs.
    assert search["total_kwh"] * J_PER_KWH > 0.4 * RAM_W * sum(seconds)
    assert energy["setup_kwh"] is None
    assert "searched for hyperparameters" in found["missing"]["energy.setup_kwh"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Hyperparameter search: 2 trials (Ray Tune), " in card
    assert "not included in the total" in card
    assert not list(tmp_path.glob("out/run-*/**/README.md"))
