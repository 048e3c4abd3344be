"""Nothing private gets out: secrets are planted wherever a capture looks, and looked for in all that it tells."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from support import TESTS

SECRETS = {
    "HF_TOKEN": "hf_PLANTEDplantedPLANTEDplantedPLANTED",
    "HUGGING_FACE_HUB_TOKEN": "hf_SECONDsecondSECONDsecondSECONDsec",
    "WANDB_API_KEY": "plantedwandb0123456789abcdef0123456789abcd",
    "AWS_SECRET_ACCESS_KEY": "plantedAWSsecretAWSsecretAWSsecretAWSsec",
    "SLURM_JOB_ID": "4711",
    "SLURM_JOB_USER": "plantedalice",
    "SLURM_JOB_ACCOUNT": "plantedaccount",
    "SLURMD_NODENAME": "plantednode01",
    "SLURM_NODELIST": "plantednode[01-04]",
    "SLURM_SUBMIT_HOST": "plantedlogin.corp.example",
    "MASTER_ADDR": "plantednode01.corp.example",
    "HOSTNAME": "plantednode01",
    "USER": "plantedalice",
    "LOGNAME": "plantedalice",
}
"""Variables of the environment and what they hold; the number of the job alone may be told."""

PLANTED = ("planted", "hf_", "secret", "alice", "corp.example")
"""What must stand nowhere in what is told, in any case of letters."""

HOST = textwrap.dedent("""
    import contextlib, importlib, json, platform, socket, sys
    from pathlib import Path

    sys.path.insert(0, sys.argv[1])
    home = Path(sys.argv[2])
    platform.node = lambda: "plantednode01"
    socket.gethostname = lambda: "plantednode01.corp.example"

    from support import models
    from datasets import load_dataset
    from autocard.trainers.transformers import observe
    from autocard.capture.evaluation import evaluation
    from autocard.capture.training import throughput as speed
    from autocard.capture.data.data import as_part, evaluation_set
    from autocard.record import RunRecord, to_json
    from autocard.record.gaps import joined, under

    PARTS = {"model.model": "model", "model.adapter": "adapters", "training.precision": "precision",
             "training.training": "training", "data.data": "data", "environment.software": "software",
             "environment.code": "code", "environment.launcher": "job"}
    base = models.save(models.bert(), home / "plantedsecret-base")
    (home / "plantedsecret-base" / "README.md").write_text(f"---\\nbase_model: {home}/plantedsecret-grand\\n---\\n")
    (home / "plantedsecret.csv").write_text("text,label\\n" + "the cat ran,1\\na dog sat,0\\n" * 8)
    rows = load_dataset("csv", data_files=str(home / "plantedsecret.csv"), cache_dir=str(home / "cache"), split="train")
    words = models.tokenizer()
    words.name_or_path = str(home / "plantedsecret-tokenizer")
    rows = rows.map(lambda batch: words(batch["text"], truncation=True, max_length=9), batched=True)
    rows.info.description = rows.info.homepage = rows.info.citation = "plantedsecret"
    made = models.lora(
        models.load("AutoModelForSequenceClassification", base), task_type="SEQ_CLS", revision="plantedsecret-branch"
    )
    made.peft_config["default"].base_model_name_or_path = base
    made.peft_config["default"].auto_mapping = {"parent_library": "plantedsecret"}

    missing, parts, sets = {}, {}, []
    def note(key, capture, *seen, **more):
        part = capture(*seen, **more)
        parts[key] = part.value
        missing.update(under(key, part.gaps))

    def look(seen):
        for name, key in PARTS.items():
            capture = importlib.import_module(f"autocard.capture.{name}").capture
            note(key, capture, seen)

    class Look(models.Watch):
        def on_evaluate(self, args, state, control, metrics=None, **objects):
            super().on_evaluate(args, state, control, **objects)
            sets.append(evaluation_set(self.seen, metrics))

    watch = Look(look)
    models.train(
        made, rows, home / "plantedalice", watch, max_steps=2,
        trainer={"processing_class": words, "eval_dataset": rows.select(range(4))},
        eval_strategy="steps", eval_steps=1, save_strategy="steps", save_steps=2,
        run_name="plantedsecret", hub_token="hf_PLANTEDargument",
    )
    predictions = {"test_loss": 1.0, "test_runtime": 1.0}
    note("evaluation", evaluation.capture, watch.seen, predictions=predictions)
    note("time", speed.time_parts, watch.seen, step_begin=0)
    missing.update(under("data.eval", joined(as_part(one) for one in sets).gaps))
    parts["data"] = parts["data"].model_copy(update={"eval": sets})
    del parts["time"]
    Path(sys.argv[3]).write_text(to_json(RunRecord(**parts, missing=missing)))

    from transformers import Trainer, TrainingArguments
    from autocard import AutoCardCallback

    arguments = TrainingArguments(
        str(home / "plantedalice"), max_steps=2, use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True,
        run_name="plantedsecret", hub_token="hf_PLANTEDargument", dataloader_pin_memory=False,
    )
    trainer = Trainer(
        model=made, args=arguments, train_dataset=rows, eval_dataset=rows, processing_class=words,
        callbacks=[AutoCardCallback(country_iso_code="FRA")],
    )
    trainer.train()
    trainer.save_model()
    trainer.evaluate()
""")


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """Runs on a machine full of secrets: what the captures say, and a real run's card and record."""
    folder = tmp_path_factory.mktemp("machine")
    home = folder / "home" / "plantedalice"
    project = home / "plantedsecret-project"
    project.mkdir(parents=True)
    script = project / "train.py"
    script.write_text(HOST)
    environ = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AUTOCARD_", "GIT_"))
        },
        **SECRETS,
        "HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "GIT_AUTHOR_NAME": "plantedalice",
        "GIT_AUTHOR_EMAIL": "plantedalice@corp.example",
        "GIT_COMMITTER_NAME": "plantedalice",
        "GIT_COMMITTER_EMAIL": "plantedalice@corp.example",
    }
    remote = "https://plantedalice:plantedsecret@github.com/org/project.git"
    for words in (
        ("init", "-q", "-b", "plantedalice-secret"),
        ("add", "."),
        ("commit", "-q", "-m", "plantedsecret"),
        ("remote", "add", "origin", remote),
        (
            "remote",
            "add",
            "backup",
            "plantedalice@plantednode01.corp.example:/home/plantedalice/x.git",
        ),
    ):
        subprocess.run(["git", *words], cwd=project, env=environ, check=True, capture_output=True)
    output = folder / "told.json"
    run = subprocess.run(
        [sys.executable, str(script), str(TESTS), str(home), str(output)],
        env=environ,
        cwd=project,
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    published = [
        (home / "plantedalice" / name).read_text(encoding="utf-8")
        for name in ("README.md", "autocard.json")
    ]
    return output.read_text(encoding="utf-8"), *published


@pytest.fixture(scope="module")
def told(machine):
    """What the captures say, all together."""
    return machine[0]


@pytest.fixture(scope="module", params=["captures", "card", "record"])
def public(machine, request):
    """What is published: what captures say, and the card and the record of a whole run with `AutoCardCallback`."""
    return machine[["captures", "card", "record"].index(request.param)]


@pytest.mark.parametrize("secret", sorted({*SECRETS.values(), *PLANTED}))
def test_no_secret_is_told(public, secret):
    if secret != SECRETS["SLURM_JOB_ID"]:
        assert secret.lower() not in public.lower()


def test_the_number_of_the_job_is_told(told):
    assert json.loads(told)["job"]["job_id"] == SECRETS["SLURM_JOB_ID"]


def test_no_path_of_the_machine_is_told(public):
    for path in ("/home", "/root", "machine0", str(Path.home()), sys.prefix):
        assert path not in public


def test_what_may_be_told_is_told_all_the_same(told):
    record = json.loads(told)

    assert record["code"]["remote"] == "https://github.com/org/project"
    assert len(record["code"]["commit"]) == 40
    assert record["code"]["script"] == "train.py"
    assert record["data"]["train"][0]["description"] == "local files (csv)"
    assert record["data"]["train"][0]["rows"] == record["data"]["eval"][0]["rows"] * 4 == 16
    assert record["model"]["base_model_description"] == "a local checkpoint"
    assert record["adapters"][0]["config"]["r"] == 4
    assert record["job"]["workload_manager"] == "slurm"
    assert record["training"]["hyperparameters"]["save_steps"] == 2
