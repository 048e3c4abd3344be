"""For which accelerator torch was built, where the training has imported it."""

from __future__ import annotations

import sys


def is_rocm() -> bool:
    """Return whether torch is built for AMD GPUs, which it calls cuda, too."""
    version = getattr(sys.modules.get("torch"), "version", None)
    return bool(getattr(version, "hip", None))
