"""The matrix of parameter counts: whatever holds the parameters, the count is that of a plain model of the same kind.

The oracle is a twin that nothing has wrapped, sharded, packed or tied by another way: the sizes in
its state dict, each tensor once by the place where it lies. Of sharded models two real processes on
gloo tell.
"""

import json
import os
import subprocess
import sys

import pytest
import torch

from autocard.capture.model import model
from autocard.errors import UnavailableError
from support import SUPPORT, models

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

TWIN = "state dict of a plain twin, each tensor once by its place in memory"
RANKS = "two processes on gloo; state dict of a plain twin"
ORACLES = {
    "full fine-tune": TWIN,
    "tied embeddings": TWIN,
    "one module in two places": TWIN,
    "frozen layers": TWIN,
    "LoRA": TWIN,
    "prompt tuning": TWIN,
    "torch.compile": TWIN,
    "on the meta device": TWIN,
    "ZeRO-3 (parameters taken apart: `ds_numel`)": f"{TWIN}; the shapes that DeepSpeed leaves, real tensors",
    "4-bit (two weights in a byte)": f"{TWIN}; bitsandbytes' shapes, real tensors",
    "GPTQ, AWQ … (packed into whole numbers)": "no total, with its reason",
    **dict.fromkeys(["DDP", "FSDP2", "FSDP2 with a bf16 policy"], RANKS),
    "FSDP1": "two processes: counted before it shards; afterwards refused, with a reason",
}


def twin(made, trained=None):
    """Count by the state dict: each tensor once by where it lies; *trained*: names of those that are trained."""
    places = {}
    for name, tensor in made.state_dict().items():
        if name in dict(made.named_parameters(remove_duplicate=False)):
            places.setdefault((tensor.data_ptr(), tensor.shape), (name, tensor.numel()))
    total = sum(size for _, size in places.values())
    return total, sum(size for name, size in places.values() if trained is None or trained(name))


def shared():
    made = models.llama()
    made.model.layers[1] = made.model.layers[0]
    return made


def frozen():
    made = models.llama()
    made.model.layers[0].requires_grad_(False)
    return made


def taken_apart():
    """Leave parameters as ZeRO-3 does: empty, with the whole size beside them."""
    made = models.llama()
    for parameter in made.parameters():
        parameter.ds_numel = parameter.numel()
        parameter.data = torch.empty(0)
    return made


class Params4bit(torch.nn.Parameter):
    """As bitsandbytes packs weights: two in a byte, in a column; known by the class's name."""


def packed():
    made = models.llama().requires_grad_(False)
    for layer in made.modules():
        if isinstance(layer, torch.nn.Linear) and layer is not made.lm_head:
            size = layer.weight.numel()
            layer.weight = Params4bit(
                torch.zeros(size // 2, 1, dtype=torch.uint8), requires_grad=False
            )
    return made


def prompt(made):
    from peft import PromptTuningConfig, get_peft_model

    return get_peft_model(made, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))


CASES = {
    "full": (models.llama, models.llama, None),
    "tied": (lambda: models.llama(tie_word_embeddings=True),) * 2 + (None,),
    "shared": (shared, shared, None),
    "frozen": (frozen, models.llama, lambda name: "layers.0." not in name),
    "LoRA": (lambda: models.lora(models.llama(), target_modules=["q_proj"]),) * 2
    + (lambda name: "lora_" in name,),
    "prompt tuning": (lambda: prompt(models.llama()),) * 2
    + (lambda name: "prompt_encoder" in name,),
    "compiled": (lambda: torch.compile(models.llama(), backend="eager"), models.llama, None),
    "ZeRO-3": (taken_apart, models.llama, None),
    "4-bit": (packed, models.llama, lambda _: False),
}


@pytest.mark.parametrize("case", CASES)
def test_the_count_is_that_of_a_plain_twin(case):
    make, plain, trained = CASES[case]

    assert model.count(make()) == twin(plain(), trained)


def test_on_the_meta_device_the_count_is_that_of_a_plain_twin():
    with torch.device("meta"):
        made = models.llama()

    assert model.count(made) == twin(models.llama())


def test_weights_that_are_packed_into_whole_numbers_have_no_total():
    made = models.llama()
    made.config.quantization_config = {"quant_method": "awq", "bits": 4}

    assert model.count(made)[0] is None


# -- two processes ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What each of two ranks says of its models."""
    folder = tmp_path_factory.mktemp("ranks")
    script = str(SUPPORT / "sharded_ranks.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [
        subprocess.Popen(
            [sys.executable, script, str(rank), str(folder)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = []
    for rank in ranks:
        out, err = rank.communicate(timeout=120)
        assert rank.returncode == 0, err[-3000:]
        said.append(json.loads(out.splitlines()[-1]))
    return said


def plain(name):
    made = models.llama()
    if name.endswith("LoRA"):
        made = models.lora(
            models.llama(tie_word_embeddings=True), r=3, target_modules=["q_proj", "v_proj"]
        )
        return twin(made, lambda parameter: "lora_" in parameter)
    return twin(made)


def sharded(rank):
    return [(name, found) for name, found in rank.items() if name != "flag"]


def test_sharded_models_count_whole_or_say_that_they_cannot(told):
    for rank in told:
        for name, found in sharded(rank):
            assert tuple(found["before"]) == plain(name), name
            if name.startswith("FSDP,"):
                assert (
                    found["after"] == "FSDP had sharded the parameters before they could be counted"
                )
            else:
                assert tuple(found["after"]) == plain(name), name
            if not name.startswith("DDP"):
                assert found["shard"] < 0.8 * plain(name)[0]  # a rank really holds a part only


def test_the_regime_of_sharded_models_is_what_hooks_and_optimizer_show(told):
    for rank in told:
        for name, found in sharded(rank):
            assert found["regime"] == found["term"], name
            assert ("bf16 mixed" in found["regime"]) == ("bf16" in name)
            assert found["architecture"] == "LlamaForCausalLM"
            assert found["distributed"] == name.split(",")[0]


def test_a_flag_that_the_trainer_does_not_follow_is_not_believed(told):
    for rank in told:
        # on CPUs it takes the flag and does not shard
        assert rank["flag"]["wrapper"] == "DistributedDataParallel"
        assert rank["flag"]["distributed"] == "DDP"


def test_what_fsdp_has_sharded_is_refused_and_not_counted_wrongly():
    class FullyShardedDataParallel(torch.nn.Module):
        """FSDP1 is known by its class's name."""

    with pytest.raises(UnavailableError, match="sharded"):
        model.count(FullyShardedDataParallel())
