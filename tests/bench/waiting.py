# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Waiting beside a fixed poll: simulated with the real schedule, and done, with real orders on a real clock."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from statistics import mean
from typing import NamedTuple
from unittest import mock

from ansible_collections.certops.vault_extca.plugins.module_utils import polling
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import ExternalCA, OrderReference
from ansible_collections.certops.vault_extca.plugins.module_utils.orders import OrderFailed, obtain_certificate
from ansible_collections.certops.vault_extca.plugins.module_utils.polling import Patience, Schedule
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_connection import VaultConnection

from tests.behaviour.harness import Engine
from tests.unit.waiting import (
    SHAPES,
    FixedPoll,
    Life,
    Watched,
    busiest,
    crowd,
    forks,
    life,
    turned_away,
    watch,
)

from .report import Row

DURATIONS = (0.5, 2.0, 5.0, 20.0, 60.0, 300.0)
_ATTEMPTS = 30  # of Terraform's provider, after which it gives up
_HOSTS, _FORKS = 1000, 50
_START = 0.5  # seconds in which a fork starts a task on one host
_SEED = 1

# The goals, by duration: mean delay and requests as multiples of the fixed poll's.
_DELAY = {0.5: 0.7, 2.0: 0.7, 5.0: 0.7, 20.0: 1.0, 60.0: 1.0}
_REQUESTS = {20.0: 1.6, 60.0: 1.2, 300.0: 0.5}
_DELAY_OF_LASTING_STATES = 0.5


def _lasts(seconds: float, shape: str) -> bool:
    """Whether processing-challenge and fetching-certificate last a second or more each."""
    return seconds >= 5 and shape != "quick issuance"


def simulated_rows(orders: int) -> list[Row]:
    """Delay and requests of so many orders of each kind."""
    rng = Random(_SEED)
    rows: list[Row] = []
    for seconds in DURATIONS:
        of_all: list[tuple[Watched, Watched]] = []
        for shape in SHAPES:
            lives = [life(seconds, shape, rng) for _order in range(orders)]
            pairs = [(watch(one, Schedule(rng=rng.random)), watch(one, FixedPoll())) for one in lives]
            of_all += pairs
            goal = _DELAY_OF_LASTING_STATES if _lasts(seconds, shape) and seconds < 300 else _DELAY.get(seconds)
            rows.append(_delay_row(f"{seconds:g} s, {shape}", pairs, goal))
        rows.append(_delay_row(f"{seconds:g} s, all of these", of_all, _DELAY.get(seconds)))
    return rows


def request_rows(orders: int) -> list[Row]:
    """Requests of so many orders of each kind."""
    rng = Random(_SEED)
    rows: list[Row] = []
    for seconds in (one for one in DURATIONS if one in _REQUESTS):
        of_all: list[tuple[Watched, Watched]] = []
        for shape in SHAPES:
            lives = [life(seconds, shape, rng) for _order in range(orders)]
            pairs = [(watch(one, Schedule(rng=rng.random)), watch(one, FixedPoll())) for one in lives]
            of_all += pairs
            rows.append(_requests_row(f"{seconds:g} s, {shape}", pairs, _REQUESTS[seconds]))
        rows.append(_requests_row(f"{seconds:g} s, all of these", of_all, _REQUESTS[seconds]))
    return rows


def _delay_row(what: str, pairs: Sequence[tuple[Watched, Watched]], goal: float | None) -> Row:
    ours, fixed = (mean(pair[which].delay for pair in pairs) for which in (0, 1))
    return Row(f"mean delay, {what}", "a poll every 2 s", f"{ours:.2f} s", f"{fixed:.2f} s", ours / fixed, goal)


def _requests_row(what: str, pairs: Sequence[tuple[Watched, Watched]], goal: float | None) -> Row:
    ours, fixed = (mean(pair[which].requests for pair in pairs) for which in (0, 1))
    return Row(f"requests, {what}", "a poll every 2 s", f"{ours:.1f}", f"{fixed:.1f}", ours / fixed, goal)


# What the rule could be instead, as constants of module_utils.polling.
_OTHER_RULES: Mapping[str, Mapping[str, float]] = {
    "the rule": {},
    "without jitter": {"JITTER": 0, "JITTER_ONCE": 0, "JITTER_AT_LONGEST": 0},
    "a quarter as long again": {"GROWTH": 1.25},
    "1 s at most": {"LONGEST_PAUSE": 1.0},
    "5 s at most": {"LONGEST_PAUSE": 5.0},
}


def rule_rows(orders: int) -> list[Row]:
    """Delay and requests that other constants would come to, where the goals for both are hardest to meet together."""
    rows: list[Row] = []
    for name, constants in _OTHER_RULES.items():
        with contextlib.ExitStack() as changed:
            for constant, value in constants.items():
                changed.enter_context(mock.patch.object(polling, constant, value))
            for seconds, shape in ((20.0, "halves"), (60.0, "halves"), (60.0, "issuance of a second or two")):
                rng = Random(_SEED)
                lives = [life(seconds, shape, rng) for _order in range(orders)]
                pairs = [(watch(one, Schedule(rng=rng.random)), watch(one, FixedPoll())) for one in lives]
                what = f"{name}; {seconds:g} s, {shape}"
                rows.append(_delay_row(what, pairs, None))
                rows.append(_requests_row(what, pairs, None))
    return rows


def crowd_rows() -> list[Row]:
    """A thousand hosts that wait for one Vault, simulated."""
    rows: list[Row] = []
    for seconds in (60.0, 300.0):
        for name, starts in (
            (f"started by {_FORKS} forks", forks(_HOSTS, _FORKS, _START)),
            ("all started at once", [0.0] * _HOSTS),
        ):
            last = starts[-1]
            ours = crowd(starts, seconds, Random(_SEED))
            fixed = crowd(starts, seconds, Random(_SEED), schedule=lambda rng: FixedPoll())
            windows = [("from 5 s after the last start to 60 s", last + 5, 60.0)]
            if seconds > 60:
                windows += [
                    ("from 90 s after the last start to the end", last + 90, seconds),
                    ("from 5 s after the last start to the end", last + 5, seconds),
                ]
            for window, begin, end in windows:
                ratio, other = busiest(ours, begin, end), busiest(fixed, begin, end)
                what = f"{_HOSTS} hosts waiting {seconds:g} s, {name}: busiest second, {window}"
                rows.append(Row(what, "the mean second", f"{ratio:.2f}", f"{other:.2f} (fixed poll)", ratio, 1.5))
            goal = {60.0: 1.2, 300.0: 0.5}[seconds]
            what = f"{_HOSTS} hosts waiting {seconds:g} s, {name}: requests"
            rows.append(Row(what, "the fixed poll", str(len(ours)), str(len(fixed)), len(ours) / len(fixed), goal))
    moments, refused = turned_away(_HOSTS, 120.0, 100, 5.0, Random(_SEED))
    first, later = (sum(begin <= one < begin + 5 for one in moments) for begin in (5.0, 60.0))
    rows.append(
        Row(
            f"{_HOSTS} hosts, a quota of 100 requests a second, Retry-After 5 s ({refused} turned away): busiest second after 15 s",
            "the mean second",
            f"{busiest(moments, 15, 120):.2f}",
            f"requests a second: {first / 5:.0f} at first, {later / 5:.0f} a minute later",
        )
    )
    return rows


# ---------------------------------------------------------------------- with real orders


class _Real(NamedTuple):
    """A real wait: looks, and seconds from completed to the end of the wait with the certificate in hand."""

    seconds: float
    polls: int
    delay: float


@dataclass
class RealWaits:
    """Real orders that stay in their states as told, each waited for by a thread, as one task waits."""

    engine: Engine
    orders: int
    _completed: dict[str, float] = field(default_factory=dict)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1024))

    def begin(self, seconds: float, shape: str, interval: float | None) -> list[Future[_Real]]:
        """Begin to wait for so many orders of one kind."""
        rng = Random(f"{seconds} {shape}")
        return [self._begin_one(seconds, life(seconds, shape, rng), interval) for _order in range(self.orders)]

    def _begin_one(self, seconds: float, order: Life, interval: float | None) -> Future[_Real]:
        engine = self.engine
        order_id = engine.order()
        engine.wait(order_id, "awaiting-challenge-fulfillment")
        notifying, processing, total = order.ends
        stay = {
            "notify-acme-server-challenges-completed": notifying,
            "processing-challenge": processing - notifying,
            # Pebble issues a moment after it was asked to, and this Vault looks again after half as long as it has waited.
            "fetching-certificate": (total - processing) * 2 / 3,
        }
        engine.bench.dev("PUT", "scripts", {"order": order_id, "stay": stay})
        engine.fulfil(order_id)
        begin = time.monotonic()
        self._pool.submit(self._observe, order_id, begin + total)
        return self._pool.submit(self._wait, seconds, order_id, interval)

    def _observe(self, order_id: str, expected: float) -> None:
        """Note when an order is completed, to a fiftieth of a second, with looks that nobody counts."""
        time.sleep(max(expected - time.monotonic() - 0.2, 0.0))
        while self.engine.status(order_id)["order_status"] != "completed":
            time.sleep(0.02)
        self._completed[order_id] = time.monotonic()

    def _wait(self, seconds: float, order_id: str, interval: float | None) -> _Real:
        bench = self.engine.bench
        connection = VaultConnection({"url": bench.vault.url, "token": bench.vault.token}, environ={})
        try:
            reference = OrderReference(self.engine.role, order_id)
            external_ca = ExternalCA(connection, self.engine.mount)
            issued = obtain_certificate(external_ca, reference, Patience(seconds * 2 + 60, interval))
            end = time.monotonic()
        finally:
            connection.close()
        while order_id not in self._completed:
            time.sleep(0.01)
        return _Real(seconds, issued.polls + 1, max(end - self._completed[order_id], 0.0))

    def close(self) -> None:
        """Wait for everything that was begun."""
        self._pool.shutdown()


_REAL_SHAPE = "issuance of a second or two"


class LongWaits:
    """The waits that take five minutes: begun early, so that the rest of the bench goes on meanwhile."""

    def __init__(self, waits: RealWaits) -> None:
        self._futures = waits.begin(300.0, _REAL_SHAPE, None)

    def rows(self) -> list[Row]:
        """Real orders of 300 s."""
        found = [future.result() for future in self._futures]
        requests, delay = mean(one.polls for one in found), mean(one.delay for one in found)
        fixed = 300 / FixedPoll.INTERVAL + 2
        what = f"real orders of 300 s ({len(found)}; a fixed poll of {_ATTEMPTS} attempts has given up after 60 s)"
        return [
            Row(f"{what}: requests", "a poll every 2 s", f"{requests:.1f}", f"{fixed:.0f}", requests / fixed, 0.5),
            Row(f"{what}: mean delay", "", f"{delay:.2f} s", ""),
        ]


def real_rows(waits: RealWaits) -> list[Row]:
    """Real orders of up to a minute, waited for with the adaptive pauses and with fixed ones, side by side."""
    kinds = [seconds for seconds in DURATIONS if seconds <= 60]
    begun = {
        (seconds, interval): waits.begin(seconds, _REAL_SHAPE, interval)
        for seconds in sorted(kinds, reverse=True)
        for interval in (None, FixedPoll.INTERVAL)
    }
    found = {kind: [future.result() for future in futures] for kind, futures in begun.items()}
    rows = []
    for seconds in kinds:
        ours, fixed = found[seconds, None], found[seconds, FixedPoll.INTERVAL]
        delays = [mean(one.delay for one in both) for both in (ours, fixed)]
        goal = _DELAY_OF_LASTING_STATES if _lasts(seconds, _REAL_SHAPE) else _DELAY[seconds]
        what = f"real orders of {seconds:g} s ({len(ours)} each), {_REAL_SHAPE}: mean delay"
        rows.append(
            Row(what, "`poll_interval: 2`", f"{delays[0]:.2f} s", f"{delays[1]:.2f} s", delays[0] / delays[1], goal)
        )
        if seconds in _REQUESTS:
            requests = [mean(one.polls for one in both) for both in (ours, fixed)]
            what = f"real orders of {seconds:g} s: requests"
            rows.append(
                Row(
                    what,
                    "`poll_interval: 2`",
                    f"{requests[0]:.1f}",
                    f"{requests[1]:.1f}",
                    requests[0] / requests[1],
                    _REQUESTS[seconds],
                )
            )
    return rows


def real_crowd_rows(engine: Engine, hosts: int, seconds: float) -> list[Row]:
    """So many waits at the same time, all begun in the same instant, and what the Vault's log of requests says of them."""
    order_ids = [engine.order() for _host in range(hosts)]
    for order_id in order_ids:
        engine.wait(order_id, "awaiting-challenge-fulfillment")
    ready, begin = threading.Barrier(hosts + 1), threading.Barrier(hosts + 1)

    def wait(order_id: str) -> None:
        bench = engine.bench
        connection = VaultConnection({"url": bench.vault.url, "token": bench.vault.token}, environ={})
        external_ca, reference = ExternalCA(connection, engine.mount), OrderReference(engine.role, order_id)
        # Two hundred processes would not import and connect in each other's way, as the threads of one do.
        external_ca.order(reference)
        ready.wait()
        begin.wait()
        # Nobody fulfils these: they are waited for until the deadline.
        with contextlib.closing(connection), contextlib.suppress(OrderFailed):
            obtain_certificate(external_ca, reference, Patience(seconds))

    with ThreadPoolExecutor(hosts) as pool:
        futures = [pool.submit(wait, order_id) for order_id in order_ids]
        ready.wait()
        engine.bench.forget_requests()
        begin.wait()
        for future in futures:
            future.result()
    logged = engine.bench.dev("GET", "requests")["requests"]
    moments = sorted(row["time"] for row in logged if row["path"].endswith("/status"))
    moments = [moment - moments[0] for moment in moments]
    # The last look of all falls on the deadline, by rule.
    ratio = busiest(moments, 5.0, seconds - 1)
    fixed = hosts * (seconds / FixedPoll.INTERVAL + 1)
    what = f"{hosts} real waits of {seconds:g} s begun at once"
    return [
        Row(f"{what}: busiest second after 5 s", "the mean second", f"{ratio:.2f}", "", ratio, 1.5),
        Row(f"{what}: requests", "the fixed poll", str(len(moments)), f"{fixed:.0f}", len(moments) / fixed, 1.2),
    ]
