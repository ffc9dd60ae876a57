# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""A Pebble whose ports for validation are free, so that what is under test answers there itself."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.harness import Bench, Engine
from tests.testbed import Nginx, Pebble, PebbleOptions
from tests.testbed.nginx import webroot_server

from .site import Site

_mounts = itertools.count(1)


@pytest.fixture(scope="session")
def bare_bench(bench: Bench) -> Iterator[Bench]:
    """The usual services, with a Pebble of its own."""
    with Pebble(bench.ca, PebbleOptions(dns_server=bench.challtestsrv.dns_server)) as pebble:
        yield dataclasses.replace(bench, pebble=pebble)


@pytest.fixture
def site(bare_bench: Bench, tmp_path: Path) -> Iterator[Site]:
    """An engine with the role ``web``, and a directory for a host's files."""
    engine = Engine(bare_bench, f"site-{next(_mounts)}")
    bare_bench.api("POST", f"sys/mounts/{engine.mount}", {"type": "pki-external-ca"})
    engine.furnish()
    bare_bench.forget_requests()
    site = Site(engine, tmp_path)
    yield site
    site.free_ports()
    bare_bench.api("DELETE", f"sys/mounts/{engine.mount}")


@pytest.fixture
def webroot(site: Site) -> Iterator[Path]:
    """The directory of an nginx that Pebble comes to for http-01."""
    site.webroot.mkdir()
    port = site.bench.pebble.http_port
    with Nginx(webroot_server(port, site.webroot), [port]):
        yield site.webroot
