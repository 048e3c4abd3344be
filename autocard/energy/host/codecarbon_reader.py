"""CodeCarbon, kept on a short lead: joules of CPU and RAM since its start, and how it got them.

Rule: what CodeCarbon does not report is a reason. Its `start`, `flush` and `stop` swallow every
failure, so only a reading that really arrived counts. Every parameter is given explicitly, so that
no file and no variable changes anything; there is no output, no network, no lock. Lives in the
meter's child process; codecarbon is imported inside functions.
"""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import dataclass
from typing import Any

from autocard.energy.readings import Sample
from autocard.errors import UnavailableError

J_PER_KWH = 3.6e6
# of CodeCarbon's own tick: ours (`read`) replaces it, so that two never measure at once
NEVER_S = 86400.0

_STALE_S = 0.06  # CodeCarbon's `flush` measures only what is older than 0.05 s

CPU, RAM, GPU = "cpu", "ram", "codecarbon_gpu"
"""Names of the parts in a sample."""


@dataclass(frozen=True)
class CodeCarbonInfo:
    """How CodeCarbon works on this machine."""

    version: str | None = None
    """Of codecarbon."""
    cpu_model: str | None = None
    """As CodeCarbon reads it."""
    cpu_mode: str | None = None
    """intel_rapl, cpu_load, constant, … : CodeCarbon's names."""
    cpu_power_w: float | None = None
    """Power at full load, for the modes that model."""
    cpu_known: bool | None = None
    """Whether its table holds the CPU; False: the power is a guess; None: not known, or it does not
    matter."""
    cpu_given: bool = False
    """Whether a person gave the CPU's power."""
    ram_power_w: float | None = None
    """Power that it takes for the memory."""
    ram_given: bool = False
    """Whether a person gave the memory's power."""


class _Listener(logging.Handler):
    """Keeps the kind of the last failure that CodeCarbon swallowed."""

    failure: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[0] is not None:
            self.failure = record.exc_info[0].__name__


class CodeCarbonReader:
    """One tracker of CodeCarbon."""

    def __init__(
        self, gpu_ids: list[int], cpu_power_w: float | None, ram_power_w: float | None
    ) -> None:
        """Start tracking; takes seconds.

        Args:
            gpu_ids: indices of the boards to compare, as CodeCarbon numbers them; empty: none.
            cpu_power_w: power of the CPU packages at full load, instead of CodeCarbon's table.
            ram_power_w: power of the memory, instead of CodeCarbon's model.

        Raises:
            UnavailableError: CodeCarbon did not deliver a first reading.
        """
        self._listener = _Listener(level=logging.WARNING)
        logging.getLogger("codecarbon").addHandler(self._listener)
        self._latest: Any = None
        self._sample: Sample | None = None
        self._given = cpu_power_w is not None, ram_power_w is not None
        self.has_gpu = bool(gpu_ids)
        """Whether its samples hold the GPUs."""
        self.first = self._start(gpu_ids, cpu_power_w, ram_power_w)
        """The first sample."""

    def _start(
        self, gpu_ids: list[int], cpu_power_w: float | None, ram_power_w: float | None
    ) -> Sample:
        if gpu_ids:
            try:
                return self._try(gpu_ids, cpu_power_w, ram_power_w)
            except UnavailableError:
                # One dead GPU anywhere in the machine keeps CodeCarbon from starting: then at least
                # CPU and RAM.
                self.has_gpu = False
        _without_gpus()
        return self._try([], cpu_power_w, ram_power_w)

    def _try(
        self, gpu_ids: list[int], cpu_power_w: float | None, ram_power_w: float | None
    ) -> Sample:
        from codecarbon import OfflineEmissionsTracker  # noqa: PLC0415
        from codecarbon.output import BaseOutput  # noqa: PLC0415

        engine = self

        class Catch(BaseOutput):  # type: ignore[misc]
            def out(self, total: Any, delta: Any) -> None:
                engine._latest = total

        self._listener.failure = None
        self._tracker = OfflineEmissionsTracker(
            **_parameters(gpu_ids, cpu_power_w, ram_power_w), output_handlers=[Catch()]
        )
        self._tracker.start()
        time.sleep(_STALE_S)
        return self.read()

    def read(self) -> Sample:
        """Measure now; a reading that is younger than 0.06 s is returned again.

        Raises:
            UnavailableError: nothing came.
        """
        at_s = time.monotonic()
        if self._sample is not None and at_s - self._sample.at_s < _STALE_S:
            return self._sample  # CodeCarbon would give the same totals again
        self._latest = None
        self._tracker.flush()
        data = self._latest
        if data is None:
            why = f" ({self._listener.failure})" if self._listener.failure else ""
            msg = f"no reading from CodeCarbon{why}"
            raise UnavailableError(msg)
        self._trim()
        joules = {CPU: data.cpu_energy * J_PER_KWH, RAM: data.ram_energy * J_PER_KWH}
        if self.has_gpu:
            joules[GPU] = data.gpu_energy * J_PER_KWH
        self._sample = Sample(at_s, joules)
        return self._sample

    def _trim(self) -> None:
        """Empty the lists that CodeCarbon only lengthens, by 10 MB a day."""
        trim = getattr(self._tracker, "_clear_utilization_history", None)
        if trim is not None:
            trim()

    def about(self) -> CodeCarbonInfo:
        """Return how it works here, as far as this version of CodeCarbon lets one see."""
        import codecarbon  # noqa: PLC0415

        found = self._tracker.get_detected_hardware() or {}
        cpu = next(
            (
                part
                for part in getattr(self._tracker, "_hardware", [])
                if type(part).__name__ == "CPU"
            ),
            None,
        )
        mode = getattr(cpu, "_mode", None)
        models = mode in {"cpu_load", "constant"}
        cpu_given, ram_given = self._given
        return CodeCarbonInfo(
            version=getattr(codecarbon, "__version__", None),
            cpu_model=found.get("cpu_model"),
            cpu_mode=mode,
            cpu_power_w=getattr(cpu, "_tdp", None) if models else None,
            cpu_known=_known(found.get("cpu_model")) if models and not cpu_given else None,
            cpu_given=cpu_given,
            ram_power_w=getattr(getattr(self._tracker, "_ram_power", None), "W", None),
            ram_given=ram_given,
        )


def _parameters(
    gpu_ids: list[int], cpu_power_w: float | None, ram_power_w: float | None
) -> dict[str, Any]:
    """Return all parameters of the tracker: files or variables could change one left out."""
    return {
        "project_name": "autocard",
        "measure_power_secs": NEVER_S,
        "api_call_interval": -1,
        "api_endpoint": "",
        "api_key": "",
        "output_dir": tempfile.gettempdir(),  # has to exist; nothing is written there
        "output_file": "",
        "output_methods": [],
        "logging_logger": None,
        "prometheus_url": "",
        "gpu_ids": gpu_ids,
        "emissions_endpoint": None,
        "experiment_id": "",
        "experiment_name": "",
        "electricitymaps_api_token": None,
        "tracking_mode": "machine",
        "log_level": "warning",
        "on_csv_write": "append",
        "logger_preamble": "",
        "force_cpu_power": cpu_power_w,
        "force_ram_power": ram_power_w,
        "pue": 1.0,
        "wue": 0.0,
        # emissions are worked out from the energy, once, in job
        "force_carbon_intensity_g_co2e_kwh": 0.0,
        "force_mode_cpu_load": False,
        "allow_multiple_runs": True,  # False takes a lock and the signals of the process
        "rapl_include_dram": False,
        "rapl_prefer_psys": False,
        "metadata": None,
        "country_iso_code": None,
        "region": None,
        "cloud_provider": None,
        "cloud_region": None,
        "country_2letter_iso_code": None,
    }


def _without_gpus() -> None:
    """Keep CodeCarbon from looking for GPUs.

    It has no parameter for that: an empty list of ids can mean all GPUs.
    """
    from codecarbon.core import gpu  # noqa: PLC0415

    for name in ("is_nvidia_system", "is_rocm_system"):
        if hasattr(gpu, name):
            setattr(gpu, name, lambda: False)


def _known(cpu_model: str | None) -> bool | None:
    """Return whether CodeCarbon's table of CPUs has *cpu_model*; None: unknown in this version."""
    from codecarbon.core import cpu  # noqa: PLC0415
    from codecarbon.core.hardware_cache import get_cached_tdp  # noqa: PLC0415

    look_up = getattr(get_cached_tdp(cpu), "_get_cpu_power_from_registry", None)
    if look_up is None or not cpu_model:
        return None
    return look_up(cpu_model) is not None
