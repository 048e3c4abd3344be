"""Samples of two processes, by torchrun on gloo: each rank notes the rows that it was given."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from autocard.record import load
from support import SUPPORT, counts_ranks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    script = str(SUPPORT / "counts_ranks.py")
    # Without the oracles: they repeat a training step, which the script would count.
    environment = {name: value for name, value in os.environ.items() if name != "TRUTH_FINDINGS"}
    started = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc_per_node=2",
            script,
            str(folder),
        ],
        env={
            **environment,
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
            "HF_HUB_OFFLINE": "1",
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert started.returncode == 0, started.stderr[-4000:]
    return folder


@pytest.mark.parametrize("way", counts_ranks.WAYS)
def test_samples_of_two_processes_are_those_that_both_were_given(trained, way):
    folder = trained / str(list(counts_ranks.WAYS).index(way))
    ranks = [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)]
    by_step = {}
    for step, size in [*ranks[0]["rows"], *ranks[1]["rows"]]:
        by_step[step] = by_step.get(step, 0) + size

    record = load(folder)

    assert record.training.effective_batch_size == max(by_step.values())
    if record.time.samples_per_s is None:
        assert record.why_missing("time.samples_per_s")
        assert "stream" in way
    else:
        assert record.time.samples_per_s * ranks[0]["runtime_s"] == pytest.approx(
            sum(by_step.values())
        )
