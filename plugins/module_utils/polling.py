# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Waiting: when to look again, and when to give up.

Orders change state in seconds when all is well and in minutes when a person is needed. So the pauses are short at
first and after every change (what follows usually follows soon) and grow while nothing happens.
"""

from __future__ import annotations

import random
import time
from typing import Any, Callable, Generic, NamedTuple, Optional, Protocol, TypeVar

FIRST_PAUSE = 0.25
GROWTH = 1.5
LONGEST_PAUSE = 2.0
LONGEST_PAUSE_LATER = 10.0
LATER = 60.0
JITTER = 0.15
# Less than this before the deadline is the deadline: clocks and sums of pauses are not exact.
INSTANT = 0.001

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


class Schedule:
    """The pauses between looks: 0.25 s, each half as long again, at most 2 s in the first minute and 10 s later."""

    def __init__(self, interval: Optional[float] = None, rng: Callable[[], float] = random.random) -> None:
        self._interval = interval
        self._rng = rng
        self._next = FIRST_PAUSE

    def restart(self) -> None:
        """Something has changed: look again soon."""
        self._next = FIRST_PAUSE

    def pause(self, elapsed: float) -> float:
        """Seconds until the next look, ``elapsed`` seconds after the first one."""
        if self._interval is not None:
            return self._interval
        pause = min(self._next, LONGEST_PAUSE if elapsed < LATER else LONGEST_PAUSE_LATER)
        self._next = pause * GROWTH
        # Hosts that were started together must not ask together for ever.
        return pause * (1 - JITTER * self._rng())


class Waited(Generic[Value]):
    """What came of waiting. ``value`` is what the last successful look saw, or None if there was none."""

    def __init__(self) -> None:
        self.value: Optional[Value] = None
        self.settled = False
        self.polls = 0
        self.elapsed = 0.0
        self.trouble: Optional[Exception] = None  # of the last look, if that failed


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
    waited: Waited[Value] = Waited()
    schedule = Schedule(patience.interval, rng)
    start = clock.monotonic()
    while True:
        at_least = 0.0
        waited.polls += 1
        try:
            value = look(max(patience.timeout - waited.elapsed, 1.0))
        except Exception as error:
            waited.elapsed = clock.monotonic() - start
            if not survives(error, waited.elapsed):
                raise
            waited.trouble = error
            at_least = getattr(error, "retry_after", None) or 0.0
        else:
            waited.elapsed = clock.monotonic() - start
            if waited.trouble is not None or (waited.value is not None and stage(waited.value) != stage(value)):
                schedule.restart()
            waited.value, waited.trouble = value, None
            progress(value, waited.elapsed)
            if settled(value):
                waited.settled = True
                return waited
        left = patience.timeout - waited.elapsed
        if left < INSTANT:
            return waited
        # What a server asks for comes on top of the pause, so that those it turned away do not come back as one.
        clock.sleep(min(at_least + schedule.pause(waited.elapsed), left))
        waited.elapsed = clock.monotonic() - start
