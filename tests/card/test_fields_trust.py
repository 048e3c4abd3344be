"""What a card says of how far its energy figures can be trusted."""

from __future__ import annotations

import pytest

from autocard.card.fields import facts
from autocard.energy.gpu import cuda_visible
from autocard.energy.ledger import leg_builder
from autocard.record import Place
from autocard.settings import resolve
from support import records


def body(record):
    return facts(record)["energy"].body()


def with_notes(record, notes):
    """Return *record* with notes on the boards of its first leg's first host."""
    leg = record.legs[0]
    host = leg.hosts[0]
    devices = [
        device.model_copy(update={"note": notes.get(number, "")})
        for number, device in enumerate(host.devices)
    ]
    host = host.model_copy(update={"devices": devices})
    leg = leg.model_copy(update={"hosts": [host, *leg.hosts[1:]]})
    return record.model_copy(update={"legs": [leg, *record.legs[1:]]})


@pytest.mark.parametrize(
    "note", [leg_builder.SHARED_NOTE, cuda_visible.SLICE_NOTE, cuda_visible.ORDER_NOTE]
)
def test_what_is_special_about_a_board_stands_on_the_card(note):
    plain = records.three_legs_on_gpus()

    told = body(with_notes(plain, {0: note, 2: note}))

    assert f"Note on 2 of 8 GPUs: {note}." in told
    assert "Note on 2 of 8 GPUs" not in body(plain)


def test_boards_that_are_special_in_different_ways_are_told_apart():
    told = body(
        with_notes(
            records.three_legs_on_gpus(), {0: leg_builder.SHARED_NOTE, 1: cuda_visible.SLICE_NOTE}
        )
    )

    assert f"Note on 1 of 8 GPUs: {leg_builder.SHARED_NOTE}." in told
    assert f"Note on 1 of 8 GPUs: {cuda_visible.SLICE_NOTE}." in told


def test_set_up_that_is_known_in_part_stands_as_the_least():
    record = records.three_legs_on_gpus()
    energy = record.energy.model_copy(update={"setup_kwh": None, "reported_setup_kwh": 0.0801})

    told = body(record.model_copy(update={"energy": energy}))

    assert "set-up at least 0.080 kWh (not measured on every node or in every start)" in told
    assert "set-up at least" not in body(record)


def test_each_kind_of_figure_says_how_sure_it_is():
    on_gpus, on_cpu = body(records.three_legs_on_gpus()), body(records.lora_on_cpu())

    assert "±5 %" in on_gpus
    assert "arxiv.org/abs/2312.02741" in on_gpus
    assert "CPU and RAM figures come from models" in on_gpus
    assert "±5 %" not in on_cpu
    assert "CPU and RAM figures come from models" in on_cpu


def test_counters_of_the_cpu_are_no_model():
    record = records.lora_on_cpu()
    sources = {
        **record.energy.sources,
        "cpu": "measured: RAPL counters of the CPU packages, through CodeCarbon",
    }
    record = record.model_copy(
        update={"energy": record.energy.model_copy(update={"sources": sources})}
    )

    told = body(record)

    assert "RAPL covers the CPU packages" in told
    assert "RAM figure comes from a model" in told


def test_a_region_that_the_table_does_not_have_is_not_given_the_countrys_figure_as_its_own():
    record = records.lora_on_cpu()
    source = (
        "Our World in Data, through CodeCarbon, which has no figure for Bavaria: the country's mean"
    )
    emissions = record.emissions.model_copy(
        update={"region": "Bavaria", "country_name": "Germany", "intensity_source": source}
    )
    known = emissions.model_copy(
        update={"region": "California", "intensity_source": "EPA eGRID2023"}
    )

    unknown_region = body(record.model_copy(update={"emissions": emissions}))
    known_region = body(record.model_copy(update={"emissions": known}))

    assert (
        "(Germany 2023, Our World in Data, through CodeCarbon, which has no figure for Bavaria"
        in unknown_region
    )
    assert "Bavaria, Germany" not in unknown_region
    assert "(California, Germany 2023, EPA eGRID2023)" in known_region


def test_nothing_on_a_card_is_advice_to_its_author():
    for make in records.ALL.values():
        record = make()
        legs_ = [
            leg.model_copy(update={"place": Place(), "intensity_g_per_kwh": None})
            for leg in record.legs
        ]
        without = record.model_copy(update={"legs": legs_, "emissions": type(record.emissions)()})
        for one in (record, without):
            told = "\n".join(fact.body() for fact in facts(one).values())

            assert not [
                word
                for word in ("country_iso_code", "cpu_power_w", "CUDA_DEVICE_ORDER")
                if word in told
            ]


def test_a_node_meter_of_a_shared_node_says_whose_energy_it_cannot_tell():
    record = records.lora_on_cpu()
    record = record.model_copy(
        update={"energy": record.energy.model_copy(update={"node_meter_kwh": 0.02})}
    )
    leg = record.legs[0]
    shared = leg.model_copy(update={"hosts": [leg.hosts[0].model_copy(update={"cpu_share": 0.25})]})
    ours = leg.model_copy(update={"hosts": [leg.hosts[0].model_copy(update={"cpu_share": 1.0})]})

    assert "only a share of the nodes" in body(record.model_copy(update={"legs": [shared]}))
    assert "only a share of the nodes" not in body(record.model_copy(update={"legs": [ours]}))


@pytest.mark.parametrize(
    ("environ", "who"),
    [
        ({"AUTOCARD_CARBON_INTENSITY_G_PER_KWH": "400"}, "given by the author"),
        ({}, "given by the operators of the machines"),
    ],
)
def test_a_grid_intensity_that_was_given_says_by_whom(tmp_path, environ, who):
    site = tmp_path / "site.toml"
    site.write_text("carbon_intensity_g_per_kwh = 300\n", encoding="utf-8")
    settings = resolve({}, {"AUTOCARD_SITE": str(site), **environ}, tmp_path)
    record = records.lora_on_cpu()
    emissions = record.emissions.model_copy(
        update={"intensity_source": leg_builder.given_intensity(settings).by}
    )

    found = facts(record.model_copy(update={"emissions": emissions}))

    assert f"g/kWh, {who})" in found["co2_emitted"].line
    assert "location-based" not in found["energy"].body()
