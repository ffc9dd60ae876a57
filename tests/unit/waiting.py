# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Waiting as an event simulation: the collection's own schedule, and the fixed poll, over orders whose lives are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple, Protocol

from ansible_collections.certops.vault_extca.plugins.module_utils.polling import Schedule

Rng = Callable[[], float]


class Pauses(Protocol):
    """What decides when to look again."""

    def pause(self, elapsed: float, retry_after: float = 0.0) -> float:
        """Seconds until the next look."""

    def restart(self) -> None:
        """The order's state has changed."""


class FixedPoll:
    """Every two seconds, whatever happens, as Terraform's provider does (which gives up after 30 attempts)."""

    INTERVAL = 2.0

    def pause(self, elapsed: float, retry_after: float = 0.0) -> float:
        return retry_after + self.INTERVAL

    def restart(self) -> None:
        """It does not care."""


class Life(NamedTuple):
    """An order's life after its challenges were marked as fulfilled: the second at which each of its states ends."""

    ends: tuple[float, ...]

    @property
    def completed(self) -> float:
        return self.ends[-1]

    def state(self, moment: float) -> int:
        return sum(end <= moment for end in self.ends)


class Watched(NamedTuple):
    """A wait for one order: requests (the certificate's included), and seconds from completed to noticed."""

    requests: int
    delay: float


NOTIFYING = 0.2  # seconds; telling an ACME server takes one request
# How an order's time divides over the states processing-challenge and fetching-certificate.
SHAPES = ("quick issuance", "issuance of a second or two", "halves", "slow issuance")


def life(seconds: float, shape: str, rng: Random) -> Life:
    """A life of about that many seconds: give or take a fifth, a second at most, so that no poll has a lucky phase."""
    spread = min(1.0, seconds / 5)
    total = rng.uniform(seconds - spread, seconds + spread)
    notifying = min(NOTIFYING, total / 20)
    fetching = {
        "quick issuance": min(0.3, total / 5),
        "issuance of a second or two": min(rng.uniform(1.0, 2.0), total / 2),
        "halves": total / 2,
        "slow issuance": total - notifying - min(rng.uniform(1.0, 2.0), total / 2.5),
    }[shape]
    return Life((notifying, total - fetching, total))


def watch(order: Life, pauses: Pauses) -> Watched:
    """Wait for one order, in no time."""
    now, looks, seen = 0.0, 0, -1
    while True:
        looks += 1
        state = order.state(now)
        if state == len(order.ends):
            return Watched(looks + 1, now - order.completed)
        if seen not in (-1, state):
            pauses.restart()
        seen = state
        now += pauses.pause(now)


def crowd(
    starts: Sequence[float],
    seconds: float,
    rng: Random,
    *,
    schedule: Callable[[Rng], Pauses] = lambda rng: Schedule(rng=rng),
) -> list[float]:
    """The moments of all requests of hosts that begin at ``starts`` and wait that long, with nothing changing meanwhile."""
    moments = []
    for start in starts:
        pauses, elapsed = schedule(rng.random), 0.0
        while elapsed < seconds:
            moments.append(start + elapsed)
            elapsed += pauses.pause(elapsed)
    return sorted(moments)


def turned_away(
    hosts: int, seconds: float, per_second: int, retry_after: float, rng: Random
) -> tuple[list[float], int]:
    """Requests of hosts that begin together at a Vault with a quota, and how many of them it answered with 429.

    More than ``per_second`` in one second are told to come back after ``retry_after`` seconds.
    """
    import heapq

    timetable = [(0.0, host) for host in range(hosts)]
    schedules = [Schedule(rng=rng.random) for _host in range(hosts)]
    moments: list[float] = []
    refused = 0
    second, served = 0, 0
    while timetable:
        moment, host = heapq.heappop(timetable)
        if moment >= seconds:
            continue
        moments.append(moment)
        if int(moment) != second:
            second, served = int(moment), 0
        served += 1
        refused += served > per_second
        pause = schedules[host].pause(moment, retry_after if served > per_second else 0.0)
        heapq.heappush(timetable, (moment + pause, host))
    return moments, refused


def busiest(moments: Sequence[float], begin: float, end: float) -> float:
    """Requests of the busiest second between two moments, whenever it begins, as a multiple of the mean."""
    within = [moment for moment in moments if begin <= moment < end]
    first, most = 0, 0
    for last, moment in enumerate(within):
        while moment - within[first] >= 1:
            first += 1
        most = max(most, last - first + 1)
    return most / (len(within) / (end - begin))


def forks(hosts: int, count: int, seconds: float) -> list[float]:
    """When hosts begin if so many forks each take ``seconds`` to start one host after another, all in step."""
    return [host // count * seconds for host in range(hosts)]
