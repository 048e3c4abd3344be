"""Versions: of what the run itself used, in processes that import more than that."""

import importlib.metadata
import json
import subprocess
import sys
import textwrap

import pytest

from support import TESTS

ASK = textwrap.dedent("""
    import json, sys, warnings
    warnings.simplefilter("ignore")
    sys.path.insert(0, sys.argv[1])
    import peft, trl, sentence_transformers  # imported by the script, whether it uses them or not
    from support import models
    from autocard.trainers.transformers import observe
    from autocard.capture.environment import software
    from autocard.settings import Settings

    def told(made, cls=None, **how):
        from transformers import TrainingArguments
        args = models.arguments(sys.argv[2], cls or TrainingArguments)
        seen = observe(Settings(**how), args, None, model=made)
        found = software.capture(seen)
        assert not found.gaps, found.gaps
        return found.value

    print(json.dumps({
        "plain": told(models.llama()),
        "adapter": told(models.lora(models.llama(), target_modules=["q_proj"])),
        "trl": told(models.llama(), trl.SFTConfig),
        "unmeasured": told(models.llama(), emissions=False),
    }))
""")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    here, folder = str(TESTS), str(tmp_path_factory.mktemp("out"))
    run = subprocess.run(
        [sys.executable, "-c", ASK, here, folder], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout.splitlines()[-1])


def test_a_library_that_was_only_imported_is_not_told(told):
    assert {"peft", "trl", "sentence-transformers", "bitsandbytes"} & set(told["plain"]) == set()
    assert {"torch", "transformers", "accelerate", "tokenizers", "python", "os"} <= set(
        told["plain"]
    )


def test_a_library_that_the_run_uses_is_told_with_its_installed_version(told):
    assert told["adapter"]["peft"] == importlib.metadata.version("peft")
    assert told["trl"]["trl"] == importlib.metadata.version("trl")
    assert "peft" not in told["trl"]


def test_codecarbon_is_told_only_where_it_measures(told):
    assert told["plain"]["codecarbon"] == importlib.metadata.version("codecarbon")
    assert "codecarbon" not in told["unmeasured"]
