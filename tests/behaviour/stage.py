# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Services of their own for the tests of bad days: a Vault that is stopped, sealed and lied to, and time that is skipped."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3.util.retry
from ansible_collections.certops.vault_extca.plugins.module_utils import polling

from tests.testbed import Bind, ChallengeTestServer, Devserver, Pebble, PebbleOptions, PrivateCa

from .harness import Bench, Engine, Result, fresh_name

# A busy disk may take seconds to write what Vault has to remember, while a test skips them.
_MEMORY = "/dev/shm"
SHORTEST_SLEEP = 0.02  # seconds that a skipped sleep takes all the same, so that the server's threads get on


@dataclass
class Stage:
    """A Vault that keeps its state in a file, with a furnished engine, whose Pebble remembers who has proven what.

    An order for :attr:`known` needs no challenge, so it is completed in some 0.1 s.
    """

    bench: Bench
    engine: Engine
    bind: Bind
    directory: Path
    known: str = ""
    known_order: str = ""
    spare: str = ""  # as known, for certificates that are revoked
    ahead: float = 0.0  # seconds that the Vault's clock is ahead of this host's

    @property
    def vault(self) -> Devserver:
        """The development Vault."""
        return self.bench.vault

    def run(self, module: str, options: dict[str, Any], **modes: Any) -> Result:
        """Run a module; it may fail."""
        return self.engine.run(module, options, fails=None, **modes)

    def token(self, **rest: Any) -> str:
        """A new token that may do everything, such as ``token(ttl="5s")``."""
        return self.bench.token_with(
            'path "*" { capabilities = ["create","read","update","delete","list","sudo"] }', **rest
        )

    def advance(self, seconds: float) -> None:
        """Let the Vault's clock jump ahead."""
        self.bench.dev("POST", "clock", {"advance": seconds})
        self.ahead += seconds

    def renew(self) -> None:
        """Names that nobody has ordered yet: what was left behind for the others is found no more."""
        self.known, self.spare = fresh_name(), fresh_name()
        self.known_order = self.engine.issue(self.known)
        self.engine.issue(self.spare)

    def restart(self) -> None:
        """Stop the Vault and start it again; time does not go back."""
        self.vault.stop()
        self.vault.start()
        self.bench.dev("POST", "clock", {"advance": self.ahead})

    def recover(self) -> None:
        """Let everything go well again, however the Vault was left."""
        deadline = time.monotonic() + 20
        while True:
            try:
                self.bench.dev("DELETE", "faults")
                self.bench.dev("DELETE", "scripts")
                return
            except requests.exceptions.ConnectionError:
                assert time.monotonic() < deadline, "the development Vault did not come back"
                time.sleep(0.01)


@contextlib.contextmanager
def raised(directory: Path) -> Iterator[Stage]:
    """The stage, for as long as the block lasts."""
    ca = PrivateCa(directory)
    with (
        tempfile.TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as in_memory,
        ChallengeTestServer() as chall,
        Bind() as bind,
        Devserver(state_file=Path(in_memory) / "vault.sqlite") as vault,
        Pebble(
            ca,
            PebbleOptions(
                dns_server=chall.dns_server,
                http_port=chall.http_port,
                tls_port=chall.tls_port,
                authz_reuse=100,
                chain_length=2,  # so that there is an order in the chain
            ),
        ) as pebble,
    ):
        bench = Bench(ca, pebble, chall, vault)
        engine = Engine(bench, "extca-faults")
        bench.api("POST", f"sys/mounts/{engine.mount}", {"type": "pki-external-ca"})
        engine.furnish()
        stage = Stage(bench, engine, bind, directory)
        stage.renew()
        yield stage


class SkippedTime:
    """Time that a module's sleeping costs neither it nor the test: its own clock and the Vault's jump ahead instead.

    ``on_first_sleep`` is called, once, when the module first waits.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._skipped = 0.0
        self.on_first_sleep: Callable[[], None] | None = None

    def monotonic(self) -> float:
        """The real clock and what was skipped."""
        return time.monotonic() + self._skipped

    def sleep(self, seconds: float) -> None:
        """Jump."""
        hook, self.on_first_sleep = self.on_first_sleep, None
        if hook is not None:
            hook()
        time.sleep(min(seconds, SHORTEST_SLEEP))
        ahead = max(seconds - SHORTEST_SLEEP, 0.0)
        self._skipped += ahead
        # A Vault that is away just now does not age.
        with contextlib.suppress(requests.exceptions.ConnectionError):
            self._stage.advance(ahead)

    def time(self) -> float:
        """The wall clock."""
        return time.time() + self._skipped


@contextlib.contextmanager
def skipping(stage: Stage, *, retries: bool = True) -> Iterator[SkippedTime]:
    """Waiting costs nothing inside of this block: of orders, and (with ``retries``) between urllib3's retries."""
    skipped = SkippedTime(stage)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polling.SystemClock, "monotonic", staticmethod(skipped.monotonic))
        patch.setattr(polling.SystemClock, "sleep", staticmethod(skipped.sleep))
        # As in the product: where time is skipped, there is no need for short pauses.
        patch.setattr(polling, "FIRST_PAUSE", 0.25)
        if retries:
            patch.setattr(urllib3.util.retry, "time", skipped)
        yield skipped
