# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Waiting for many things at once."""

from __future__ import annotations

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.polling import Patience, Waiting
from ansible_collections.certops.vault_extca.plugins.module_utils.side_by_side import wait_for_all

from ...support import ManualClock


class Passing(Exception):
    """Trouble that passes."""


def steps(clock: ManualClock, timeout: float, *values: str | Exception) -> Waiting[str]:
    """A wait that sees these values in turn."""
    seen = iter(values)

    def look(_seconds: float) -> str:
        value = next(seen)
        if isinstance(value, Exception):
            raise value
        return value

    return Waiting(
        look,
        lambda value: value == "done",
        Patience(timeout),
        survives=lambda error, elapsed: isinstance(error, Passing),
        clock=clock,
        rng=lambda: 0.0,
    )


@pytest.mark.parametrize("at_once", [1, 2, 50])
def test_many_are_waited_for_as_long_as_the_longest_of_them(at_once: int) -> None:
    clock = ManualClock()
    waiting = [steps(clock, 300, *["a"] * number, "done") for number in range(10)]
    assert wait_for_all(waiting, at_once, clock=clock) == [None] * 10
    assert [one.waited.polls for one in waiting] == list(range(1, 11))
    assert all(one.waited.settled for one in waiting)
    alone = ManualClock()
    steps(alone, 300, *["a"] * 9, "done").until_over()
    assert clock.now == pytest.approx(alone.now)


def test_of_many_each_has_its_own_failure() -> None:
    clock = ManualClock()
    failure = KeyError("b")
    waiting = [steps(clock, 300, "a", "done"), steps(clock, 300, "a", failure), steps(clock, 300, "done")]
    assert wait_for_all(waiting, 2, clock=clock) == [None, failure, None]


def test_what_is_not_one_s_own_ends_all() -> None:
    clock = ManualClock()
    waiting = [steps(clock, 300, *["a"] * 20), steps(clock, 300, "a", KeyError("b"))]
    with pytest.raises(KeyError):
        wait_for_all(waiting, 2, is_own=lambda error: not isinstance(error, KeyError), clock=clock)
    assert sum(clock.slept) < 1


def test_many_end_at_the_deadline() -> None:
    clock = ManualClock()
    waiting = [steps(clock, 20, *["a"] * 100) for _number in range(5)]
    wait_for_all(waiting, 3, clock=clock)
    assert [one.waited.elapsed for one in waiting] == pytest.approx([20.0] * 5)
