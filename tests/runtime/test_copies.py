"""A trainer with our callback can be copied and sent elsewhere wherever one without it can; the copy begins anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from support import TESTS

PROGRAM = """
import copy, json, pickle, sys
sys.path.insert(0, sys.argv[3])
from support import training

def can(work):
    try:
        return work() is not None
    except TypeError:
        return False

callbacks = []
if sys.argv[2] == "ours":
    from autocard import AutoCardCallback
    callbacks = [AutoCardCallback(country_iso_code="FRA", emissions=False)]
trainer = training.trainer(sys.argv[1] + "/one", callbacks=callbacks)
ways = (copy.deepcopy, pickle.dumps)
done = {"before": [can(lambda: way(trainer)) for way in ways]}
sent = pickle.loads(pickle.dumps(trainer))
trainer.train()
done["after"] = [can(lambda: copy.deepcopy(trainer))]
done["callbacks"] = [can(lambda: pickle.dumps(callbacks)), can(lambda: copy.deepcopy(callbacks))]
sent.args.output_dir = sys.argv[1] + "/two"
sent.train()
print(json.dumps(done))
"""


def test_what_can_be_copied_without_our_callback_can_be_copied_with_it_and_a_copy_has_its_own_card(
    tmp_path,
):
    said = {}
    for whose in ("theirs", "ours"):
        command = [
            sys.executable,
            "-c",
            PROGRAM,
            str(tmp_path / whose),
            whose,
            str(TESTS),
        ]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=env, timeout=300
        )
        said[whose] = json.loads(done.stdout.splitlines()[-1])

    assert said["ours"] == said["theirs"]
    assert all(said["ours"]["before"])
    runs = [
        json.loads((tmp_path / "ours" / name / "autocard.json").read_text())["run"]
        for name in ("one", "two")
    ]
    assert runs[0]["id"] != runs[1]["id"]
    assert [run["global_step"] for run in runs] == [6, 6]
    assert (tmp_path / "ours" / "two" / "README.md").exists()
    assert not (tmp_path / "theirs" / "one" / "README.md").exists()
