# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Waiting, without waiting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.polling import Patience, Schedule, Waited, wait_until
from hypothesis import given
from hypothesis import strategies as st

from ...support import ManualClock


class Passing(Exception):
    retry_after: float | None = None


def wait(
    clock: ManualClock, values: Iterator[str | Exception], timeout: float, interval: float | None = None
) -> Waited[str]:
    def look(_seconds: float) -> str:
        value = next(values)
        if isinstance(value, Exception):
            raise value
        return value

    return wait_until(
        look,
        lambda value: value == "done",
        Patience(timeout, interval),
        survives=lambda error, elapsed: isinstance(error, Passing),
        clock=clock,
        rng=lambda: 0.0,
    )


def forever(value: str | Exception) -> Iterator[str | Exception]:
    while True:
        yield value


def test_what_has_settled_takes_one_look_and_no_sleep() -> None:
    clock = ManualClock()
    waited = wait(clock, iter(["done"]), 300)
    assert (waited.value, waited.settled, waited.polls, waited.elapsed, clock.slept) == ("done", True, 1, 0.0, [])


def test_pauses_grow_by_half_to_two_seconds_and_to_ten_after_a_minute() -> None:
    clock = ManualClock()
    wait(clock, forever("waiting"), 200)
    assert clock.slept[:6] == pytest.approx([0.25, 0.375, 0.5625, 0.84375, 1.265625, 1.8984375])
    assert max(clock.slept[:30]) == 2.0
    assert clock.slept[-2] == 10.0
    assert len(clock.slept) < 60


def test_pauses_are_short_again_after_a_change() -> None:
    clock = ManualClock()
    wait(clock, iter(["a", "a", "a", "b", "b", "done"]), 300)
    assert clock.slept == pytest.approx([0.25, 0.375, 0.5625, 0.25, 0.375])


def test_pauses_are_short_again_when_trouble_has_passed() -> None:
    clock = ManualClock()
    wait(clock, iter(["a", "a", Passing(), "a", "done"]), 300)
    assert clock.slept == pytest.approx([0.25, 0.375, 0.5625, 0.25])


def test_jitter_only_shortens() -> None:
    schedule = Schedule(rng=lambda: 1.0)
    assert schedule.pause(0) == pytest.approx(0.25 * 0.85)


@pytest.mark.parametrize("timeout", [0, 0.1, 5, 100])
def test_the_last_look_falls_on_the_deadline(timeout: float) -> None:
    clock = ManualClock()
    waited = wait(clock, forever("waiting"), timeout)
    assert (waited.value, waited.settled) == ("waiting", False)
    assert clock.now - 1000 == pytest.approx(timeout)
    assert waited.elapsed == pytest.approx(timeout)


@given(st.floats(0, 1000), st.one_of(st.none(), st.floats(0.1, 100)))
def test_it_never_sleeps_past_the_deadline(timeout: float, interval: float | None) -> None:
    clock = ManualClock()
    waited = wait(clock, forever("waiting"), timeout, interval)
    assert sum(clock.slept) <= timeout * 1.000001
    assert waited.polls == len(clock.slept) + 1


def test_a_fixed_interval_is_kept() -> None:
    clock = ManualClock()
    wait(clock, iter(["a", "b", Passing(), "done"]), 300, 7)
    assert clock.slept == [7, 7, 7]


def test_what_a_server_asks_for_comes_on_top_of_the_pause() -> None:
    clock, error = ManualClock(), Passing()
    error.retry_after = 30.0
    wait(clock, iter([error, "done"]), 300)
    assert clock.slept == pytest.approx([30.25])


def test_trouble_that_lasts_is_kept_for_the_caller() -> None:
    clock, error = ManualClock(), Passing()
    waited = wait(clock, forever(error), 3)
    assert (waited.value, waited.trouble) == (None, error)


def test_the_last_value_is_kept_beside_later_trouble() -> None:
    clock = ManualClock()
    values: Iterator[str | Exception] = iter(["a", *[Passing() for _n in range(20)]])
    waited = wait(clock, values, 3)
    assert waited.value == "a"
    assert isinstance(waited.trouble, Passing)


def test_what_does_not_pass_is_raised_at_once() -> None:
    clock = ManualClock()
    with pytest.raises(KeyError):
        wait(clock, iter([KeyError()]), 300)
    assert clock.slept == []


def test_a_look_knows_how_long_it_may_take_and_progress_is_told() -> None:
    clock = ManualClock()
    allowed: list[float] = []
    told: list[tuple[str, float]] = []

    def look(seconds: float) -> str:
        allowed.append(seconds)
        return "waiting"

    wait_until(
        look,
        lambda value: False,
        Patience(10, 4),
        survives=lambda error, elapsed: False,
        progress=lambda value, elapsed: told.append((value, elapsed)),
        clock=clock,
    )
    assert allowed == [10, 6, 2, 1]
    assert told == [("waiting", 0), ("waiting", 4), ("waiting", 8), ("waiting", 10)]
