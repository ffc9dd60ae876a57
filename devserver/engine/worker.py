# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The threads that move orders: they sleep until an order is due and wake at once when one is handed to them."""

from __future__ import annotations

import heapq
import logging
import threading
from datetime import UTC, datetime

from ..framework import Clock
from .order_steps import Steps
from .orders import Orders

_log = logging.getLogger(__name__)

_THREADS = 4
_LONGEST_SLEEP = 0.25  # seconds; the clock may be moved while threads sleep
_AT_ONCE = datetime.min.replace(tzinfo=UTC)


class Worker:
    """A timetable of orders, each in the hands of one thread at most."""

    def __init__(self, clock: Clock, orders: Orders, steps: Steps) -> None:
        self._clock = clock
        self._orders = orders
        self._steps = steps
        self._changed = threading.Condition()
        self._due: dict[str, datetime] = {}  # the one entry that counts for an order
        self._heap: list[tuple[datetime, str]] = []  # may hold entries that were superseded
        self._working: set[str] = set()
        self._woken: set[str] = set()  # woken while being worked on
        self._running = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Take up all unfinished orders where they stand."""
        self._running = True
        for order in self._orders.unfinished():
            self._enter(order.id, order.next_work or _AT_ONCE)
        self._threads = [
            threading.Thread(target=self._work, name=f"orders-{number}", daemon=True) for number in range(_THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Return when every thread has finished the step that it was at."""
        with self._changed:
            self._running = False
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._threads = []

    def wake(self, order_id: str) -> None:
        """Look at this order now."""
        with self._changed:
            if order_id in self._working:
                self._woken.add(order_id)
            else:
                self._enter(order_id, _AT_ONCE)
                self._changed.notify()

    def abandon(self, order_id: str, reason: str) -> None:
        """End this order in an error now; a thread that is at it finds it ended."""
        order = self._orders.get(order_id)
        if order is not None:
            self._steps.fail(order, reason)
            self.wake(order_id)

    def _work(self) -> None:
        while (order_id := self._take()) is not None:
            due: datetime | None = None
            try:
                order = self._orders.get(order_id)
                due = None if order is None else self._steps.step(order)
            except Exception:  # storage that fails must not end the thread; the order is taken up at the next start
                _log.exception("order %s", order_id)
            self._give_back(order_id, due)

    def _take(self) -> str | None:
        with self._changed:
            while self._running:
                while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
                    heapq.heappop(self._heap)
                if not self._heap:
                    self._changed.wait()
                    continue
                due, order_id = self._heap[0]
                remaining = 0.0 if due == _AT_ONCE else (due - self._clock.now()).total_seconds()
                if remaining > 0:
                    self._changed.wait(min(remaining, _LONGEST_SLEEP))
                    continue
                heapq.heappop(self._heap)
                del self._due[order_id]
                self._working.add(order_id)
                return order_id
            return None

    def _give_back(self, order_id: str, due: datetime | None) -> None:
        with self._changed:
            self._working.discard(order_id)
            if order_id in self._woken:
                self._woken.discard(order_id)
                due = _AT_ONCE
            if due is not None:
                self._enter(order_id, due)
                self._changed.notify()

    def _enter(self, order_id: str, due: datetime) -> None:
        if self._due.get(order_id) != due:
            self._due[order_id] = due
            heapq.heappush(self._heap, (due, order_id))
