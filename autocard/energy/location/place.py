"""Settings and firmware → where the electricity was drawn. `geolocation` uses the network.

Rule: the country is what a person, an administrator or a file has said; it is never assumed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from autocard import files
from autocard.record import Place
from autocard.settings import Settings
from autocard.settings.regions import proper_name

DMI = Path("/sys/class/dmi/id")

METADATA = "the cloud's metadata"
LOOKED_UP = "a look-up of the network address"
FIRMWARE = "the machine's firmware"
"""Sources of a place."""

# File of the firmware's table → text in it → provider. The same marks as cloud-init's ds-identify
# goes by, and that of Amazon's older machines, whose version of the firmware is theirs.
_MARKS = {
    "sys_vendor": {"Amazon EC2": "aws", "Alibaba Cloud": "alibaba", "DigitalOcean": "digitalocean"},
    # the vendor of its laptops is Google too
    "product_name": {"Google Compute Engine": "gcp", "Google": "gcp"},
    "chassis_asset_tag": {"7783-7084-3265-9085-8269-3286-77": "azure", "OracleCloud.com": "oracle"},
    "bios_version": {"amazon": "aws"},
}


def of(settings: Settings, dmi: Path = DMI, environ: Mapping[str, str] = os.environ) -> Place:
    """Return the place that *settings* give, and the cloud that firmware or container names."""
    # AWS_EXECUTION_ENV is set by Amazon's container service in what it runs, the firmware cannot
    # always be read there.
    cloud = _cloud(dmi) or (
        "aws" if environ.get("AWS_EXECUTION_ENV", "").startswith("AWS_ECS") else None
    )
    source = settings.sources.get("country_iso_code") or (
        "argument" if settings.country_iso_code else None
    )
    return Place(
        country_iso_code=settings.country_iso_code,
        region=proper_name(settings.country_iso_code, settings.region),
        cloud_provider=cloud,
        source=source or (FIRMWARE if cloud else None),
    )


def explain(
    place: Place, missing: MutableMapping[str, str], found: Mapping[str, str] | None = None
) -> None:
    """Note under "place." in *missing* why leaves of *place* are None.

    Args:
        place: of a leg.
        missing: gets the reasons.
        found: path → reason that a look-up gave.
    """
    found = found or {}
    reasons = {
        "country_iso_code": (
            "none was given, and no other source has it; "
            'country_iso_code="…" (three letters) gives one'
        ),
        "region": "no region was given",
        "cloud_provider": "the machine's firmware names no cloud",
        "cloud_region": "the cloud's metadata service was not asked"
        if place.cloud_provider
        else "no cloud is known",
        "source": "no place is known",
    }
    for leaf, reason in reasons.items():
        if getattr(place, leaf) is None:
            whole = found.get("place", reason) if leaf in _OF_PLACE else reason
            missing[f"place.{leaf}"] = found.get(f"place.{leaf}", whole)


_OF_PLACE = {"country_iso_code", "region", "source"}
"""Leaves that are missing where the place as a whole could not be looked up."""


def _cloud(dmi: Path) -> str | None:
    for name, marks in _MARKS.items():
        try:
            text = files.read_loosely(dmi / name).strip()
        except OSError:
            continue
        mark = text.rpartition(".")[2] if name == "bios_version" else text  # 4.11.amazon
        if mark in marks:
            return marks[mark]
    return None
