"""autocard: a training run writes what it measured into the model card.

    from autocard import AutoCardCallback

    trainer = Trainer(..., callbacks=[AutoCardCallback()])

The public names are imported when they are first used, so that the record, the cards and the
command line work where torch and transformers are not installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from autocard._version import __version__

if TYPE_CHECKING:
    from autocard.callback import AutoCardCallback, attach
    from autocard.record import RunRecord

__all__ = ["AutoCardCallback", "RunRecord", "__version__", "attach"]

_HOME = {
    "AutoCardCallback": "autocard.callback",
    "RunRecord": "autocard.record",
    "attach": "autocard.callback",
}


if not TYPE_CHECKING:  # type checkers would believe that any name is here

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            msg = f"module 'autocard' has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
