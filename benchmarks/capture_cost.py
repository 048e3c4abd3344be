"""Measure the captures at the begin of training on a model of a billion parameters.

The model has a thousand modules and is on the meta device: modules and parameters without numbers.
Prints milliseconds of CPU time of the waiting thread (median of several rounds; other programs do
not count) for each capture and for all of them, and their side effects: calls of the model or of
its layers, and uses of the network, which must not happen. The aim is at most 50 ms for the
captures that read the run's objects.
"""

from __future__ import annotations

import importlib
import socket
import statistics
import tempfile
import time
import warnings
from typing import Any

ROUNDS = 7
AIM_MS = 50.0
OF_MODEL = ("model", "adapter", "precision", "training", "data")
"""Captures that look at the run's objects; the others ask the machine, and are told apart."""
OF_MACHINE = ("hardware", "software", "code", "cluster")


def twin() -> Any:
    """Return a LoRA on a Llama of about 1.1 billion parameters, without storage."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {
        "hidden_size": 2048,
        "num_hidden_layers": 22,
        "intermediate_size": 5632,
        "vocab_size": 32000,
    }
    with torch.device("meta"):
        made = LlamaForCausalLM(LlamaConfig(num_attention_heads=32, num_key_value_heads=4, **sizes))
        return get_peft_model(
            made, LoraConfig(r=16, target_modules="all-linear", task_type="CAUSAL_LM")
        )


def seen(model: Any, folder: str) -> Any:
    """Return what a callback is shown when training of *model* begins."""
    import torch
    from datasets import Dataset
    from transformers import TrainerState, TrainingArguments

    from autocard.capture.observed import Seen
    from autocard.settings import Settings

    rows = Dataset.from_dict(
        {"input_ids": [[1, 2, 3, 4]] * 20_000, "attention_mask": [[1] * 4] * 20_000}
    )
    args = TrainingArguments(folder, use_cpu=True, report_to="none", bf16=True)
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-4)
    loader = torch.utils.data.DataLoader(rows.shuffle(seed=1), batch_size=4)
    return Seen(Settings(), args, TrainerState(max_steps=10), model, None, optimizer, None, loader)


def measure(shown: Any) -> dict[str, float]:
    """Return capture → milliseconds of one round."""
    took = {}
    for name in (*OF_MODEL, *OF_MACHINE):
        capture = importlib.import_module(f"autocard.capture.{name}").capture
        begin = time.thread_time()
        capture(shown, {})
        took[name] = 1000 * (time.thread_time() - begin)
    return took


def watched(model: Any) -> list[str]:
    """Return a list that records each call of the model or a layer, and each use of the network."""
    happened: list[str] = []
    for name, module in model.named_modules():
        module.register_forward_pre_hook(
            lambda _, __, name=name: happened.append(f"call of {name or 'the model'}")
        )

    class Closed(socket.socket):
        def connect(self, address: Any) -> None:
            happened.append(f"network: {address}")
            raise OSError

    socket.socket = Closed  # type: ignore[misc] # this process only
    return happened


def main() -> int:
    """Measure and print; return 1 if the aim was missed or anything was called."""
    warnings.simplefilter("ignore")
    model = twin()
    with tempfile.TemporaryDirectory() as folder:
        shown = seen(model, folder)
        happened = watched(model)
        rounds = [measure(shown) for _ in range(ROUNDS)]
    parameters = sum(one.numel() for one in model.parameters())
    print(
        f"{parameters / 1e9:.2f} billion parameters, {len(list(model.modules()))} modules, "
        f"{ROUNDS} rounds"
    )
    medians = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    for name, took_ms in medians.items():
        print(f"{name:12} {took_ms:8.1f} ms")
    of_model = statistics.median(sum(one[name] for name in OF_MODEL) for one in rounds)
    everything = statistics.median(sum(one.values()) for one in rounds)
    print(
        f"the run's objects {of_model:8.1f} ms   (aim: {AIM_MS:.0f} ms); "
        f"with the machine {everything:.1f} ms"
    )
    print(f"calls of the model and uses of the network: {len(happened)}")
    return int(of_model > AIM_MS or bool(happened))


if __name__ == "__main__":
    raise SystemExit(main())
