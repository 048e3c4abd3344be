"""The GPUs of a training, and the leg as it is known when it begins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autocard.energy.counter_mark import CounterMark
from autocard.energy.gpu import backends, gpu_selection
from autocard.energy.gpu.base import CounterReading, Device, NoDriverError
from autocard.energy.host import cpu_share
from autocard.errors import UnavailableError
from autocard.record import DeviceUse, HostUse


class TrainingDevices:
    """The GPUs that a training uses."""

    def __init__(
        self,
        *,
        uses_gpu: bool | None = None,
        device_type: str | None = None,
        ordinals: Iterable[int] | None = None,
    ) -> None:
        """Look for nothing yet.

        Args:
            uses_gpu: False: the training runs on the CPU, whatever GPUs there are; None: not known.
            device_type: torch's name of the accelerator (cuda, mps, xpu, …), where it is known.
            ordinals: CUDA ordinals that the training uses; None: all that are visible.
        """
        if uses_gpu is None and device_type is not None:
            uses_gpu = device_type != "cpu"
        self._uses_gpu = uses_gpu
        self._device_type = device_type
        self._ordinals = None if ordinals is None else list(ordinals)
        self._assigned: list[Device] | None = None
        self._reason: str | None = None

    def assign(self, boards: Sequence[Device] | None, reason: str | None) -> None:
        """Use these GPUs from now on; None: those that this process uses.

        Args:
            boards: in the order of the leg's devices.
            reason: why they are not all that the processes use.
        """
        self._assigned = None if boards is None else list(boards)
        self._reason = reason

    def find(self) -> tuple[list[Device], dict[str, str]]:
        """Return the GPUs, and path inside the leg → why they are not known."""
        if self._assigned is not None:
            return self._assigned, _no_devices(self._reason)
        if self._uses_gpu is False:
            return [], {}
        try:
            found = gpu_selection.devices(ordinals=self._ordinals, device_type=self._device_type)
        except NoDriverError as exc:
            # If it is not known whether GPUs are used, there is nothing to measure.
            return [], {} if self._uses_gpu is None else _no_devices(str(exc))
        except UnavailableError as exc:
            return [], _no_devices(str(exc))
        if not found and self._uses_gpu:
            return [], _no_devices(backends.none_visible(self._device_type))
        return found, {}


def host_at_begin(devices: Sequence[Device], mark: CounterMark, share: float | None) -> HostUse:
    """Return the host as it is known when a leg begins.

    Args:
        devices: that the leg uses.
        mark: the counters at the begin.
        share: of the node's CPUs; None: this process's.
    """
    uses = []
    for number, device in enumerate(devices):
        counter = mark.boards.get(device.uuid, CounterReading())
        use = DeviceUse(
            device=f"h1.g{number}",
            name=device.name,
            memory_bytes=device.memory_bytes,
            counter_begin_j=counter.energy_j,
            note=device.note,
        )
        uses.append(use)
    share = cpu_share.of_node() if share is None else share
    return HostUse(host="h1", devices=uses, cpu_share=share)


def _no_devices(why: str | None) -> dict[str, str]:
    """Return the reason for GPUs that are not there, by path inside the leg."""
    return {} if why is None else {"hosts.0.devices": f"not measured: {why}"}
