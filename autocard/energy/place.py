"""Settings and firmware → where the electricity was drawn. No network.

Rule: the country is what a person, an administrator or a file has said; it is never looked up here and never assumed.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path

from autocard.energy.intensity import NO_PLACE
from autocard.record import Place
from autocard.settings import Settings

DMI = Path("/sys/class/dmi/id")

# File of the firmware's table → text in it → provider. The same marks as cloud-init's ds-identify goes by.
_MARKS = {
    "sys_vendor": {"Amazon EC2": "aws", "Google": "gcp", "Alibaba Cloud": "alibaba", "DigitalOcean": "digitalocean"},
    "chassis_asset_tag": {"7783-7084-3265-9085-8269-3286-77": "azure", "OracleCloud.com": "oracle"},
}


def of(settings: Settings, dmi: Path = DMI) -> Place:
    """Return the place that *settings* give, and the cloud that the machine's firmware names."""
    cloud = _cloud(dmi)
    source = settings.sources.get("country_iso_code") or ("argument" if settings.country_iso_code else None)
    return Place(
        country_iso_code=settings.country_iso_code,
        region=settings.region,
        cloud_provider=cloud,
        source=source or ("the machine's firmware" if cloud else None),
    )


def explain(place: Place, missing: MutableMapping[str, str]) -> None:
    """Note under "place." in *missing* why leaves of *place* are None."""
    reasons = {
        "country_iso_code": NO_PLACE,
        "region": "no region was given",
        "cloud_provider": "the machine's firmware names no cloud",
        "cloud_region": "not looked up: autocard does not ask the cloud's metadata service",
        "source": "no place is known",
    }
    if place.cloud_provider is None:
        reasons["cloud_region"] = "no cloud is known"
    for leaf, reason in reasons.items():
        if getattr(place, leaf) is None:
            missing[f"place.{leaf}"] = reason


def _cloud(dmi: Path) -> str | None:
    for name, marks in _MARKS.items():
        try:
            text = (dmi / name).read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            continue
        if text in marks:
            return marks[text]
    return None
