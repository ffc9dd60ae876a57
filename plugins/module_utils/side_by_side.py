# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Waiting for many things at once, with a bounded number of threads: between two looks, none is in use."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from heapq import heappop, heappush
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from .polling import Clock, SystemClock, Waiting


class _Due(NamedTuple):
    """When somebody who waits is to look again, on the clock; ``number`` keeps the order of those due at once."""

    moment: float
    number: int


def wait_for_all(
    waiting: Sequence[Waiting[Any]],
    at_once: int,
    *,
    is_own: Callable[[Exception], bool] = lambda error: True,
    clock: Clock = SystemClock(),
) -> List[Optional[Exception]]:
    """Step all of these until each is over, ``at_once`` looks at the same time at most.

    Returns what each raised, None where waiting just ended. What is not one's own (``is_own(error)`` is false) ends them all,
    and is raised.
    """
    outcome: List[Optional[Exception]] = [None] * len(waiting)
    timetable = [_Due(clock.monotonic(), number) for number in range(len(waiting))]
    looking: Dict[Future[Optional[float]], int] = {}
    with ThreadPoolExecutor(at_once) as pool:
        while timetable or looking:
            while timetable and len(looking) < at_once and timetable[0].moment <= clock.monotonic():
                number = heappop(timetable).number
                looking[pool.submit(waiting[number].step)] = number
            until_next = max(timetable[0].moment - clock.monotonic(), 0.0) if timetable else None
            if not looking:
                clock.sleep(until_next or 0.0)
                continue
            for done in wait(looking, None if len(looking) == at_once else until_next, FIRST_COMPLETED).done:
                number = looking.pop(done)
                error = done.exception()
                if error is not None and not (isinstance(error, Exception) and is_own(error)):
                    raise error
                outcome[number] = error
                pause = None if error else done.result()
                if pause is not None:
                    heappush(timetable, _Due(clock.monotonic() + pause, number))
    return outcome
