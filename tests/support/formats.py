"""Record number formats in forward hooks and in the optimizer's state. Imports nothing of autocard."""

from __future__ import annotations

from collections import Counter

SHORT = {"torch.float16": "fp16", "torch.bfloat16": "bf16", "torch.float32": "fp32"}


def most(counter):
    return counter.most_common(1)[0][0]


class Oracle:
    """Counts the formats of what layers put out, of what is trained, and of what the optimizer keeps of it.

    Args:
        made: the model, before it is trained.
        layer: end of the names of layers whose product is looked at; none that an adapter of the
            test touches.
    """

    def __init__(self, made, layer="mlp.up_proj"):
        self.outputs, self.trainable, self.states = Counter(), Counter(), Counter()
        for name, module in made.named_modules():
            if name.endswith(layer):
                module.register_forward_hook(
                    lambda _, __, out: self.outputs.update([str(out.dtype)])
                )

    def after(self, optimizer):
        import torch

        for group in optimizer.param_groups:
            for tensor in group["params"]:
                self.trainable[str(tensor.dtype)] += tensor.numel()
                for value in optimizer.state.get(tensor, {}).values():
                    if torch.is_tensor(value) and value.dim():
                        self.states[str(value.dtype)] += value.numel()

    def term(self):
        """Return the words of the Hub's template, from what was seen: formats of weights, state and products."""
        products, weights = most(self.outputs), most(self.trainable)
        # the optimizer works in the weights' own format
        assert not self.states or most(self.states) == weights
        if products == weights == "torch.float32":
            return "fp32"
        return f"{SHORT[products]} {'non-mixed' if products == weights else 'mixed'} precision"
