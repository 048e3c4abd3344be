"""What each GPU backend of the list has to do, on a machine with its driver and on one without."""

from __future__ import annotations

import itertools

import pytest

from autocard.energy.gpu import backends
from autocard.energy.gpu.base import CounterReading, Device, Visible
from autocard.errors import UnavailableError

EACH = pytest.mark.parametrize("backend", backends.BACKENDS, ids=lambda backend: backend.NAME)


def result(question, *arguments):
    """Return the answer of a backend, or None where it has none and gives a reason."""
    try:
        return question(*arguments)
    except UnavailableError as exc:
        reason = str(exc)
    assert reason
    return None


@EACH
def test_every_device_has_an_id_with_a_prefix_of_its_backend(backend):
    devices = result(backend.devices) or []

    assert all(isinstance(device, Device) for device in devices)
    assert all(device.uuid.startswith(backend.UUID_PREFIXES) for device in devices)
    assert all(device.name for device in devices)


@EACH
def test_visible_devices_are_devices_of_the_machine(backend):
    here = result(backend.devices)

    visible = result(backend.visible, {})

    assert (visible is None) == (here is None)
    if visible is not None:
        assert isinstance(visible, Visible)
        assert visible.on_machine == len(here)
        assert {device.uuid for device in visible.devices} <= {device.uuid for device in here}


@EACH
def test_a_board_that_is_not_there_has_a_reason_instead_of_a_reading(backend):
    uuid = f"{backend.UUID_PREFIXES[0]}none"

    counters = result(backend.counters, [uuid])

    if counters is not None:
        reading = counters.read()[uuid]
        assert isinstance(reading, CounterReading)
        assert reading.energy_j is None
        assert reading.reason
        assert counters.power_w(uuid) is None
        assert counters.shared() == set()


@EACH
def test_an_energy_counter_does_not_run_back(backend):
    devices = result(backend.devices) or []
    if not devices:
        pytest.skip("this machine has no such GPU")
    counters = backend.counters(device.uuid for device in devices)

    first, second = counters.read(), counters.read()

    assert set(first) == {device.uuid for device in devices}
    for uuid, reading in first.items():
        if reading.energy_j is not None and second[uuid].energy_j is not None:
            assert reading.energy_j <= second[uuid].energy_j


@EACH
def test_a_version_is_a_text_or_has_a_reason(backend):
    for question in (backend.driver_version, backend.cuda_driver_version):
        version = result(question)
        assert version is None or version


def test_names_and_prefixes_belong_to_one_backend():
    names = [backend.NAME for backend in backends.BACKENDS]

    assert len(set(names)) == len(names)
    for one, other in itertools.permutations(backends.BACKENDS, 2):
        assert not any(prefix.startswith(other.UUID_PREFIXES) for prefix in one.UUID_PREFIXES)


@EACH
def test_a_backend_is_found_by_the_id_of_a_device(backend):
    assert backends.of_uuid(f"{backend.UUID_PREFIXES[0]}0") is backend
