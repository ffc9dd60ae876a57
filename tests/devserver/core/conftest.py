# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""One server for the tests that only look; tests that change its course make their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devserver.vault import Vault
from tests.devserver.conftest import ROOT_TOKEN, RunningServer, run_server

from .kv import KeyValue


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A server with the key-value backend at ``kv/``."""
    running = run_server(Vault(root_token=ROOT_TOKEN, backends={"kv": KeyValue}))
    running.client().sys.enable_secrets_engine("kv", path="kv")
    yield running
    running.stop()
