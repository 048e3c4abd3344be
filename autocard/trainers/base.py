"""What an adapter of a kind of trainer is: it fills `Observed`, which captures and sessions read.

An adapter is a module of this package with an object `ADAPTER`; `registry` lists them. What cannot
be a field of `Observed` is answered by a `TrainerView` of the adapter's own.
"""

from __future__ import annotations

from typing import Any, Protocol

from autocard.capture.observed import Observed
from autocard.settings import Settings


class TrainerAdapter(Protocol):
    """One kind of trainer. The only place that knows what the trainer calls things."""

    def reads(self, source: Any) -> bool:
        """Return whether *source* is a trainer of this kind, or what an event of one shows."""
        ...

    def observe(self, settings: Settings, source: Any, /, **objects: Any) -> Observed:
        """Return what *source* shows now.

        Args:
            settings: what the user decided.
            source: what `reads` has accepted.
            objects: what the event shows besides: model, optimizer, …
        """
        ...
