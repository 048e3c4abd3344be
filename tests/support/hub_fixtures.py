"""Fixtures that give tests a Hub on this machine, in this process and in those that it starts.

A test module asks for them with `pytest_plugins = ["support.hub_fixtures"]`. `hub` is a running `Hub`
(hub_server.py), and for the time of the test every client of this process speaks to it: HF_ENDPOINT
and a token are set for processes that the test starts, and here, where huggingface_hub may have
been imported long before, the values that it read from the environment are set to what a fresh
import would read. Nothing of its code is replaced.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest

from support.hub_server import Hub


@pytest.fixture
def hub(monkeypatch, tmp_path_factory, plain_environment):  # noqa: ARG001 - after it, which sets HF_HUB_OFFLINE
    import huggingface_hub.hf_api

    with Hub() as running:
        home = tmp_path_factory.mktemp("hub-home")
        environment = {
            "HF_ENDPOINT": running.url,
            "HF_TOKEN": running.token,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE"):
            monkeypatch.delenv(name, raising=False)
        for module, name, value in _read_at_import(running, str(home)):
            if module in sys.modules and hasattr(sys.modules[module], name):
                monkeypatch.setattr(sys.modules[module], name, value)
        monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", running.url)
        forget_connections()
        yield running
        forget_connections()


def _read_at_import(hub: Hub, home: str) -> list[tuple[str, str, Any]]:
    """What libraries read from the environment when they are imported: module, name, what they would read now."""
    files = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    return [
        ("huggingface_hub.constants", "ENDPOINT", hub.url),
        ("huggingface_hub.constants", "HUGGINGFACE_CO_URL_TEMPLATE", files),
        ("huggingface_hub.file_download", "HUGGINGFACE_CO_URL_TEMPLATE", files),
        ("huggingface_hub.constants", "HF_HUB_OFFLINE", False),
        ("huggingface_hub.constants", "HF_HUB_DISABLE_TELEMETRY", True),
        ("huggingface_hub.constants", "HF_HUB_DISABLE_XET", True),
        ("huggingface_hub.constants", "HF_HOME", home),
        ("huggingface_hub.constants", "HF_HUB_CACHE", f"{home}/hub"),
        ("huggingface_hub.constants", "HF_TOKEN_PATH", f"{home}/token"),
        ("datasets.config", "HF_ENDPOINT", hub.url),
        ("datasets.config", "HF_HUB_OFFLINE", False),
        # transformers 5 makes one client and keeps it; transformers 4 keeps whether the Hub is to
        # be reached.
        ("transformers.utils.hub", "_hf_api", None),
        ("transformers.utils.hub", "_is_offline_mode", False),
        ("transformers.utils.hub", "HUGGINGFACE_CO_RESOLVE_ENDPOINT", hub.url),
    ]


def forget_connections() -> None:
    """Let the next call make new connections: those of before may be to another Hub, or to none (offline)."""
    from huggingface_hub.utils import _http

    close = getattr(_http, "close_session", None) or _http.reset_sessions
    close()
