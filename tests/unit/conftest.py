# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What unit tests stand on: a scripted Vault below the HTTP library, time that costs nothing, and modules run in-process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import requests
from hypothesis import settings

from .running import run_main, undocumented
from .support import FakeVault, ManualClock

# How long an example takes says more of what else the machine does; the same examples each time fail for a reason.
settings.register_profile("unit", deadline=None, derandomize=True, database=None)
settings.load_profile("unit")


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> FakeVault:
    """A Vault that answers as the test scripts it; hvac and requests above it are the real ones."""
    fake = FakeVault()

    def send(
        adapter: requests.adapters.HTTPAdapter, request: requests.PreparedRequest, **how: Any
    ) -> requests.Response:
        return fake.send(adapter, request, **how)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    for name in (
        "VAULT_ADDR",
        "VAULT_TOKEN",
        "VAULT_NAMESPACE",
        "VAULT_CACERT",
        "VAULT_SKIP_VERIFY",
        "HTTP_PROXY",
        "HTTPS_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    return fake


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The clock of everything that waits: sleeping moves it and takes no time."""
    from ansible_collections.certops.vault_extca.plugins.module_utils import polling

    manual = ManualClock()
    monkeypatch.setattr(polling.SystemClock, "monotonic", staticmethod(manual.monotonic))
    monkeypatch.setattr(polling.SystemClock, "sleep", staticmethod(manual.sleep))
    return manual


RunModule = Callable[..., dict[str, Any]]


@pytest.fixture
def run_module() -> RunModule:
    """Run a module's main() with these options as Ansible would, and return its result.

    ``check`` and ``diff`` are Ansible's modes. Connection options are given unless the test gives its own.
    """

    def run(name: str, options: Mapping[str, Any], *, check: bool = False, diff: bool = False) -> dict[str, Any]:
        connection = {"url": "http://vault.test:8200", "token": "hvs.unit"}
        result = run_main(name, {**connection, **options}, check=check, diff=diff)
        assert result.get("failed") or not undocumented(name, result), f"{name} returns what it does not document"
        return result

    return run


def pytest_make_parametrize_id(val: object) -> str | None:
    """A short name for PEM texts among parameters: keys differ from process to process, and names of tests must not."""
    text = val.decode("latin-1") if isinstance(val, bytes) else val
    if isinstance(text, str) and "-----BEGIN " in text:
        return text.split("-----BEGIN ", 1)[1].split("-----", 1)[0].lower().replace(" ", "-")
    return None
