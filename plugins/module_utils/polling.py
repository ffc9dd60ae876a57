# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Waiting: when to look again, and when to give up.

Orders change state in seconds when all is well and in minutes when a person is needed. So the pauses are short at
first and after every change (what follows usually follows soon) and grow while nothing happens.
"""

from __future__ import annotations

import random
import time
from typing import Any, Callable, Generic, NamedTuple, Optional, Protocol, Set, TypeVar

FIRST_PAUSE = 0.25
GROWTH = 1.5
LONGEST_PAUSE = 2.0
LONGEST_PAUSE_LATER = 10.0
LATER = 60.0
# Each pause is shorter than its rule by a random share of itself, up to these. What was started together must not ask
# together for ever, and every share costs requests; so the last of the growing pauses and the first of the longest are spread
# over much of their length, and those after them hardly at all. What that comes to is measured in docs/performance.md.
JITTER = 0.1
JITTER_ONCE = 0.65
JITTER_ONCE_LATER = 0.9
JITTER_AT_LONGEST = 0.01
# A Retry-After is lengthened by up to this share of itself: a server turns many away in one instant.
SPREAD = 1.0
# Less than this before the deadline is the deadline: clocks and sums of pauses are not exact.
INSTANT = 0.001
LONGEST_WAIT = 365 * 86400

Value = TypeVar("Value")


class Clock(Protocol):
    """Time, handed in so that tests need not spend it."""

    def monotonic(self) -> float:
        """Seconds that never go back, whatever happens to the wall clock."""

    def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""


class SystemClock:
    """The machine's own time."""

    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)


class Patience(NamedTuple):
    """How long to wait, and the fixed pause between two looks (None: adaptive), both in seconds."""

    timeout: float
    interval: Optional[float] = None


def parse_wait_timeout(seconds: int) -> int:
    """Seconds to wait at most, as an option gives them. Raises ValueError for less than none and more than a year."""
    if seconds < 0:
        raise ValueError(f"wait_timeout {seconds} is negative; write seconds from 0 on")
    if seconds > LONGEST_WAIT:
        raise ValueError(f"wait_timeout {seconds} is longer than {LONGEST_WAIT} seconds, which are a year")
    return seconds


class Schedule:
    """The pauses between looks: 0.25 s, each half as long again, at most 2 s in the first minute and 10 s later."""

    def __init__(self, interval: Optional[float] = None, rng: Callable[[], float] = random.random) -> None:
        self._interval = interval
        self._rng = rng
        self._next = FIRST_PAUSE
        self._spread: Set[float] = set()  # the pauses, by the rule, that have been spread

    def restart(self, *, together: bool = False) -> None:
        """Something has changed: look again soon. ``together``: for everybody who waits, and at the same time."""
        self._next = FIRST_PAUSE
        if together:
            self._spread.clear()

    def pause(self, elapsed: float, retry_after: float = 0.0) -> float:
        """Seconds until the next look, ``elapsed`` seconds after the first one.

        What a server asks for, ``retry_after`` in seconds, comes on top, so that those it turned away do not come back as one.
        """
        return (
            retry_after * (1 + SPREAD * self._rng()) + self._own_pause(elapsed)
            if retry_after
            else self._own_pause(elapsed)
        )

    def _own_pause(self, elapsed: float) -> float:
        if self._interval is not None:
            return self._interval
        longest = LONGEST_PAUSE if elapsed < LATER else LONGEST_PAUSE_LATER
        pause = min(self._next, longest)
        self._next = pause * GROWTH
        jitter = JITTER
        if self._next >= longest:
            once = JITTER_ONCE if elapsed < LATER else JITTER_ONCE_LATER
            jitter = JITTER_AT_LONGEST if pause in self._spread else once
            self._spread.add(pause)
        return pause * (1 - jitter * self._rng())


class Waited(Generic[Value]):
    """What came of waiting. ``value`` is what the last successful look saw, or None if there was none."""

    def __init__(self) -> None:
        self.value: Optional[Value] = None
        self.settled = False
        self.polls = 0
        self.elapsed = 0.0
        self.trouble: Optional[Exception] = None  # of the last look, if that failed


class Waiting(Generic[Value]):
    """Waiting for one thing, a look at a time, so that one thread can wait for many. See :func:`wait_until`."""

    def __init__(
        self,
        look: Callable[[float], Value],
        settled: Callable[[Value], bool],
        patience: Patience,
        *,
        survives: Callable[[Exception, float], bool],
        stage: Callable[[Value], Any] = lambda value: value,
        progress: Callable[[Value, float], None] = lambda value, elapsed: None,
        clock: Clock = SystemClock(),
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.waited: Waited[Value] = Waited()
        self._look = look
        self._settled = settled
        self._timeout = patience.timeout
        self._survives = survives
        self._stage = stage
        self._progress = progress
        self._clock = clock
        self._schedule = Schedule(patience.interval, rng)
        self._start = clock.monotonic()

    def step(self) -> Optional[float]:
        """Look once. Seconds until the next look is due, or None when waiting is over. Raises what does not pass."""
        waited = self.waited
        waited.elapsed = self._clock.monotonic() - self._start
        waited.polls += 1
        retry_after = 0.0
        try:
            value = self._look(max(self._timeout - waited.elapsed, 1.0))
        except Exception as error:
            waited.elapsed = self._clock.monotonic() - self._start
            if not self._survives(error, waited.elapsed):
                raise
            waited.trouble = error
            retry_after = getattr(error, "retry_after", None) or 0.0
        else:
            waited.elapsed = self._clock.monotonic() - self._start
            self._note(value)
            if waited.settled:
                return None
        left = self._timeout - waited.elapsed
        if left < INSTANT:
            return None
        return min(self._schedule.pause(waited.elapsed, retry_after), left)

    def until_over(self) -> Waited[Value]:
        """Look and sleep until waiting is over."""
        pause = self.step()
        while pause is not None:
            self._clock.sleep(pause)
            pause = self.step()
        return self.waited

    def _note(self, value: Value) -> None:
        waited = self.waited
        if waited.trouble is not None:
            # A server that asked for fewer requests is not thanked with more.
            if not getattr(waited.trouble, "retry_after", None):
                self._schedule.restart(together=True)
        elif waited.value is not None and self._stage(waited.value) != self._stage(value):
            self._schedule.restart()
        waited.value, waited.trouble = value, None
        self._progress(value, waited.elapsed)
        waited.settled = self._settled(value)


def wait_until(
    look: Callable[[float], Value],
    settled: Callable[[Value], bool],
    patience: Patience,
    *,
    survives: Callable[[Exception, float], bool],
    stage: Callable[[Value], Any] = lambda value: value,
    progress: Callable[[Value, float], None] = lambda value, elapsed: None,
    clock: Clock = SystemClock(),
    rng: Callable[[], float] = random.random,
) -> Waited[Value]:
    """Look until what is seen has settled, or patience ends; the last look falls on the deadline.

    ``look(seconds)`` may take that many seconds at most. An exception that ``survives(error, elapsed)`` accepts is trouble
    that passes; its ``retry_after`` (seconds), if it has one, is respected. Whenever ``stage(value)`` differs from the look
    before, the pauses are short again. ``progress(value, elapsed)`` is told of every look.
    """
    waiting = Waiting(look, settled, patience, survives=survives, stage=stage, progress=progress, clock=clock, rng=rng)
    return waiting.until_over()
