"""What the worker has read of one leg, up to one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

from autocard.energy.host.codecarbon_reader import CodeCarbonInfo
from autocard.energy.readings import Used
from autocard.record import Checkpoint


@dataclass(frozen=True)
class LegReadings:
    """Joules of a leg, and what has to be said of them."""

    host: Used = field(default_factory=Used)
    """CPU, RAM and CodeCarbon's figure for the GPUs, in joules of the whole node."""
    boards: Used = field(default_factory=Used)
    """UUID → joules."""
    sampled: list[str] = field(default_factory=list)
    """GPUs without a counter, by UUID."""
    reset: list[str] = field(default_factory=list)
    """GPUs whose counter went back."""
    silent: dict[str, str] = field(default_factory=dict)
    """GPUs that did not answer at the end → why."""
    shared: list[str] = field(default_factory=list)
    """GPUs on which several processes computed."""
    about: CodeCarbonInfo | None = None
    """How CodeCarbon works here; None: it does not."""
    node: Used = field(default_factory=Used)
    """What the node's own meter says."""
    node_name: str = ""
    """Which meter that is, in words."""
    restart: str = ""
    """What has to be said where the worker died and was started again."""
    setup_j: float | None = None
    """Joules of GPUs, CPUs and RAM (the run's share) from the callback's start to the start of
    training."""
    setup_source: str = ""
    """How they are known, or why they are not."""
    checkpoints: list[Checkpoint] = field(default_factory=list)

    def without_boards(self) -> LegReadings:
        """Return what is written to disk: no UUID of a GPU; checkpoints are in the leg."""
        return LegReadings(
            host=self.host,
            about=self.about,
            node=self.node,
            node_name=self.node_name,
            restart=self.restart,
            setup_j=self.setup_j,
            setup_source=self.setup_source,
        )
