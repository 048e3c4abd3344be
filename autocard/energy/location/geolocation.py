"""The cloud's metadata service or a look-up over the network → where the electricity is drawn.

Rule: nothing is asked unless the machine itself says which cloud it stands in, or the user has
asked for a look-up (`geolocate=True`); once, when measuring starts, with a deadline, never at the
end of training; and of the answer only country and region are kept, never an address or
coordinates. Lives in the meter's child process. A place that is not known stays unknown: CodeCarbon
would take Quebec.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from autocard.energy.location import intensity, place
from autocard.energy.location.cloud_regions import COUNTRIES
from autocard.errors import UnavailableError
from autocard.record import Place

METADATA_S = 1.0
"""Seconds that the cloud's metadata service gets; it is on the same machine, and answers in some
milliseconds."""
GEOLOCATE_S = 3.0
"""Seconds that a look-up over the network gets, resolving of names included."""

LINK_LOCAL = "http://169.254.169.254"
IMPORT_S = 20.0
"""Seconds for loading libraries on a busy machine, before the clock of a look-up runs."""
SLACK_S = 0.2
"""Seconds beyond the deadline for reading a table."""
GEOLOCATORS = ("https://get.geojs.io/v1/ip/geo.json", "https://ipinfo.io/json")
"""Those that CodeCarbon asks, in its order."""

# us-east-1, germanywestcentral
_REGION = re.compile(r"[a-z]{2}[a-z0-9-]{1,40}")
_MOST_BYTES = 65536


def order(
    found: Place, *, geolocate: bool, environ: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Return what the worker needs to look the place up: what is known, and which services to ask.

    The variables are those of the providers' own libraries: AWS_EC2_METADATA_SERVICE_ENDPOINT and
    AWS_EC2_METADATA_DISABLED, GCE_METADATA_HOST.
    """
    google = environ.get("GCE_METADATA_HOST", "")
    return {
        **found.model_dump(),
        "geolocate": geolocate,
        "may_ask": environ.get("AWS_EC2_METADATA_DISABLED", "").strip().lower() != "true",
        "endpoints": {
            "aws": environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "").rstrip("/") or LINK_LOCAL,
            "gcp": f"http://{google}" if google else LINK_LOCAL,
            "azure": LINK_LOCAL,
        },
        "geolocators": list(GEOLOCATORS),
    }


def knows_nothing(found: Place, *, geolocate: bool) -> bool:
    """Return whether no place is known and none will be looked up."""
    asked = order(found, geolocate=geolocate)
    return found.country_iso_code is None and not geolocate and not _asks_cloud(asked)


class LookUp:
    """Place and carbon intensity, being looked up in a thread."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        """Start."""
        self._asked = asked
        self._until_s = 0.0
        self._begun, self._done = threading.Event(), threading.Event()
        self._found: tuple[Place, dict[str, str]] = (_known(asked), {})
        threading.Thread(target=self._work, name="autocard place", daemon=True).start()

    def _most_s(self) -> float:
        asked = self._asked
        metadata_s = METADATA_S if _asks_cloud(asked) else 0.0
        return metadata_s + (GEOLOCATE_S if asked["geolocate"] else 0.0)

    def _work(self) -> None:
        if self._most_s():
            with contextlib.suppress(ImportError):
                import requests  # noqa: F401, PLC0415 - before the clock runs
        self._until_s = time.monotonic() + self._most_s()
        self._begun.set()
        try:
            self._found = find(self._asked)
        except Exception as exc:  # noqa: BLE001 - an answer in a form that we do not know
            self._found = (
                _known(self._asked),
                {"place": f"the place could not be looked up ({type(exc).__name__})"},
            )
        self._done.set()

    def result(self) -> dict[str, Any]:
        """Return g_per_kwh, source and year, or their reason; and place and place_reasons."""
        found, reasons = self._found
        self._begun.wait(IMPORT_S)
        if self._done.wait(max(self._until_s - time.monotonic(), 0.0) + SLACK_S):
            found, reasons = self._found
        else:
            reasons = {"place": f"the look-up of the place took longer than {self._most_s():.0f} s"}
        told: dict[str, Any] = {"place": found.model_dump(), "place_reasons": reasons}
        try:
            return told | asdict(_intensity(found))
        except UnavailableError as exc:
            why = str(exc)
            if found.country_iso_code is None and reasons:
                why = f"no place is known: {next(iter(reasons.values()))}"
            return told | {"reason": why}
        except Exception as exc:  # noqa: BLE001 - CodeCarbon's tables in a form that we do not know
            return told | {
                "reason": f"CodeCarbon's tables could not be read ({type(exc).__name__})"
            }


def _known(asked: Mapping[str, Any]) -> Place:
    return Place(**{leaf: asked[leaf] for leaf in Place.model_fields})


def _asks_cloud(asked: Mapping[str, Any]) -> bool:
    return asked["cloud_provider"] in asked["endpoints"] and bool(asked["may_ask"])


def _intensity(found: Place) -> intensity.Intensity:
    if (
        found.source == place.METADATA
        and found.cloud_provider == "gcp"
        and found.cloud_region is not None
    ):
        return intensity.of_cloud("gcp", found.cloud_region)
    return intensity.of(found.country_iso_code, found.region)


def find(asked: Mapping[str, Any]) -> tuple[Place, dict[str, str]]:
    """Return the place, and path → reason for its gaps; ask the network where *asked* allows it."""
    found, reasons = _known(asked), {}
    if _asks_cloud(asked):
        provider = asked["cloud_provider"]
        try:
            cloud_region = _cloud_region(provider, asked["endpoints"][provider])
        except UnavailableError as exc:
            reasons["place.cloud_region"] = str(exc)
        else:
            found = _in_cloud(
                found.model_copy(update={"cloud_region": cloud_region}), provider, cloud_region
            )
    if asked["geolocate"] and found.country_iso_code is None:
        try:
            country, region = _geolocated(asked["geolocators"])
            found = found.model_copy(
                update={"country_iso_code": country, "region": region, "source": place.LOOKED_UP}
            )
        except UnavailableError as exc:
            reasons["place"] = str(exc)
    return found, reasons


def _in_cloud(found: Place, provider: str, region: str) -> Place:
    """Return *found* with the country of the provider's *region*, if none was given."""
    if found.country_iso_code is not None:
        return found
    country, state = COUNTRIES.get(provider, {}).get(region) or intensity.country_of_cloud(
        provider, region
    )
    if country is None:
        return found
    return found.model_copy(
        update={"country_iso_code": country, "region": state, "source": place.METADATA}
    )


def _cloud_region(provider: str, endpoint: str) -> str:
    """Return the provider's name of the region that this machine is in.

    Raises:
        UnavailableError: its metadata service does not answer, or not with a region.
    """
    until_s = time.monotonic() + METADATA_S
    if provider == "aws":
        lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        token = _ask("PUT", f"{endpoint}/latest/api/token", lifetime, until_s)
        headers = {"X-aws-ec2-metadata-token": token}
        said = _ask("GET", f"{endpoint}/latest/meta-data/placement/region", headers, until_s)
    elif provider == "gcp":
        url = f"{endpoint}/computeMetadata/v1/instance/zone"
        zone = _ask("GET", url, {"Metadata-Flavor": "Google"}, until_s)
        said = zone.rpartition("/")[2].rpartition("-")[0]  # projects/1234/zones/us-central1-a
    else:
        path = "metadata/instance/compute/location?api-version=2021-02-01&format=text"
        said = _ask("GET", f"{endpoint}/{path}", {"Metadata": "true"}, until_s)
    said = said.strip().lower()
    if not _REGION.fullmatch(said):
        msg = "the cloud's metadata service did not name a region"
        raise UnavailableError(msg)
    return said


def _ask(method: str, url: str, headers: Mapping[str, str], until_s: float) -> str:
    """Return the text that *url* answers with; no proxy, no redirect.

    Raises:
        UnavailableError: no answer by *until_s* (monotonic seconds), or an error.
    """
    import requests  # noqa: PLC0415 - comes with codecarbon

    left_s = until_s - time.monotonic()
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                method,
                url,
                headers=dict(headers),
                timeout=max(left_s, 0.05),
                allow_redirects=False,
                stream=True,
            )
            answer.raise_for_status()
            text: bytes = answer.raw.read(_MOST_BYTES, decode_content=True)
    except (requests.RequestException, OSError) as exc:
        msg = f"the cloud's metadata service did not answer ({type(exc).__name__})"
        raise UnavailableError(msg) from exc
    return text.decode("utf-8", errors="replace")


def _geolocated(services: list[str]) -> tuple[str, str | None]:
    """Return country (ISO 3166-1 alpha-3) and region of this machine's way out to the network.

    Raises:
        UnavailableError: no service answers with a country.
    """
    until_s = time.monotonic() + GEOLOCATE_S
    why = "no service was asked"
    for number, url in enumerate(services):
        left_s = until_s - time.monotonic()
        share_s = left_s / (len(services) - number)
        try:
            return _country(_json(url, share_s))
        except UnavailableError as exc:
            why = str(exc)
    msg = f"the look-up over the network failed ({why})"
    raise UnavailableError(msg)


def _json(url: str, timeout_s: float) -> Mapping[str, Any]:
    import requests  # noqa: PLC0415

    try:
        answer = requests.get(url, timeout=max(timeout_s, 0.05))
        answer.raise_for_status()
        found = answer.json()
    except (requests.RequestException, OSError, ValueError) as exc:
        raise UnavailableError(type(exc).__name__) from exc
    if not isinstance(found, Mapping):
        msg = "an answer in another form"
        raise UnavailableError(msg)
    return found


def _country(answer: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return country and region of a service's answer; nothing else of it is kept."""
    import pycountry  # noqa: PLC0415

    code = str(answer.get("country_code3") or answer.get("country") or "").strip().upper()
    length = {2: "alpha_2", 3: "alpha_3"}.get(len(code))
    country = pycountry.countries.get(**{length: code}) if length is not None else None
    if country is None:
        msg = "an answer without a country"
        raise UnavailableError(msg)
    region = answer.get("region")
    name = region.strip() if isinstance(region, str) else ""
    return str(country.alpha_3), name or None
