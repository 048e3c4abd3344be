"""One rank of two: wrap tiny models in DDP, FSDP1 and FSDP2 on gloo, and print what the captures return for them.

Usage: sharded_ranks.py RANK FOLDER. The last line of what it prints is JSON.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace


def main(rank: int, folder: Path) -> dict:
    import torch
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import (
        FullyShardedDataParallel,
        MixedPrecision,
        MixedPrecisionPolicy,
        fully_shard,
    )
    from torch.nn.parallel import DistributedDataParallel

    from autocard.capture.environment import launcher
    from autocard.capture.model import model
    from autocard.capture.training import precision
    from autocard.errors import UnavailableError
    from autocard.settings import Settings
    from autocard.trainers.transformers import observe
    from support import formats, models

    dist.init_process_group(
        "gloo", store=dist.FileStore(str(folder / "store"), 2), rank=rank, world_size=2
    )
    half = torch.bfloat16

    def adapted():
        return models.lora(
            models.llama(tie_word_embeddings=True), r=3, target_modules=["q_proj", "v_proj"]
        )

    def shard(made, policy):
        fully_shard(made, mesh=init_device_mesh("cpu", (2,)), mp_policy=policy)
        return made

    def first(made, policy):
        return FullyShardedDataParallel(
            made, device_id=torch.device("cpu"), mixed_precision=policy, use_orig_params=True
        )

    ways = {
        "DDP": DistributedDataParallel,
        "FSDP2": lambda made: shard(made, MixedPrecisionPolicy()),
        "FSDP2, bf16": lambda made: shard(made, MixedPrecisionPolicy(param_dtype=half)),
        "FSDP": lambda made: first(made, None),
        "FSDP, bf16": lambda made: first(made, MixedPrecision(param_dtype=half)),
    }
    told = {}
    for name, wrap in ways.items():
        for kind, make in (("full", models.llama), ("LoRA", adapted)):
            made = make()
            oracle = formats.Oracle(made)
            before = model.count(made)
            wrapped = wrap(made)
            try:
                after = model.count(wrapped)
            except UnavailableError as exc:
                after = str(exc)
            args = SimpleNamespace(world_size=2, output_dir="a/cats", hub_model_id=None)
            seen = observe(Settings(), args, None, model=wrapped)
            optimizer = torch.optim.AdamW(
                [one for one in wrapped.parameters() if one.requires_grad]
            )
            captures = (model.capture, precision.capture, launcher.capture)
            parts = [capture(seen).value for capture in captures]
            ids = torch.ones(1, 4, dtype=torch.long)
            wrapped(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            oracle.after(optimizer)
            told[f"{name}, {kind}"] = {
                "before": before,
                "after": after,
                "term": oracle.term(),
                "shard": sum(
                    (one.to_local() if hasattr(one, "to_local") else one).numel()
                    for one in wrapped.parameters()
                ),
                "architecture": parts[0].architecture,
                "regime": parts[1].regime,
                "distributed": parts[2].distributed,
            }
    told["flag"] = asked_for_fsdp(folder)
    dist.destroy_process_group()
    return told


def asked_for_fsdp(folder: Path) -> dict:
    """Train with the Trainer's own flag; return the class that wrapped the model, and the captured part."""
    from autocard.capture.environment import launcher
    from support import models

    watch = models.Watch(lambda seen: launcher.capture(seen).value)
    layers = {"version": 2, "transformer_layer_cls_to_wrap": ["LlamaDecoderLayer"]}
    trainer = models.train(
        models.llama(),
        models.language(),
        folder / "out",
        watch,
        fsdp=True,
        fsdp_config=layers,
        max_steps=1,
    )
    return {
        "wrapper": type(trainer.model_wrapped).__name__,
        "distributed": watch.result.distributed,
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    os.environ |= {
        "RANK": sys.argv[1],
        "LOCAL_RANK": sys.argv[1],
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
    }
    print(json.dumps(main(int(sys.argv[1]), Path(sys.argv[2]))), flush=True)
    # torch 2.13 sometimes aborts while the interpreter tears down FSDP's threads ("terminate called
    # without an active exception"), without autocard too. What this rank has to tell is told by
    # now.
    os._exit(0)
