"""Notice whether a model was trained further after the run: its facts are then others.

A few values of a few trained tensors are kept; torch's own count of in-place changes misses the
updates of its fused optimizers.
"""

from __future__ import annotations

import weakref
from itertools import islice
from typing import Any

_TENSORS = 8
_VALUES = 64


class WeightFingerprint:
    """Some weights of a model as they are now. Refers to the model weakly."""

    def __init__(self, model: Any) -> None:
        trained = islice((one for one in model.parameters() if one.requires_grad), _TENSORS)
        self._noted = [(weakref.ref(one), one.dtype, _some(one)) for one in trained]

    def changed(self) -> bool:
        """Return whether a weight has changed; lost weights and changes of dtype do not count."""
        for ref, dtype, values in self._noted:
            weight = ref()
            if weight is not None and weight.dtype == dtype and _some(weight) != values:
                return True
        return False


def _some(weight: Any) -> str:
    # This process's shard of the tensor.
    local = weight.to_local() if hasattr(weight, "to_local") else weight
    # As text: NaN equals NaN.
    return repr(local.detach().flatten()[:_VALUES].float().cpu().tolist())
