# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Waiting, without waiting."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from statistics import mean

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.polling import (
    Patience,
    Schedule,
    Waited,
    wait_until,
)
from hypothesis import given
from hypothesis import strategies as st

from ...support import ManualClock
from ...waiting import FixedPoll, busiest, crowd, forks, life, turned_away, watch


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


def nominal_pauses(elapsed_after_each: list[float]) -> Iterator[float]:
    """The rule without jitter: 0.25 s, half as long again, 2 s at most in the first minute, then 10 s."""
    pause = 0.25
    for elapsed in elapsed_after_each:
        pause = min(pause, 2.0 if elapsed < 60 else 10.0)
        yield pause
        pause *= 1.5


@given(st.integers(0, 2**32))
def test_jitter_only_shortens_and_stays_within_its_shares(seed: int) -> None:
    schedule, elapsed, moments, pauses = Schedule(rng=Random(seed).random), 0.0, [], []
    while elapsed < 150:
        moments.append(elapsed)
        pauses.append(schedule.pause(elapsed))
        elapsed += pauses[-1]
    rules = list(nominal_pauses(moments))
    for pause, rule, before in zip(pauses, rules, [0.0, *rules]):
        spread = 0.35 if 1.4 < rule <= 2.0 else 0.1 if rule > 6.7 else 0.9
        assert rule * (0.99 if rule == before else spread) <= pause <= rule


def test_pauses_are_spread_once_and_again_after_trouble_that_met_all() -> None:
    schedule = Schedule(rng=lambda: 1.0)

    def last_three_of_eight() -> list[float]:
        pauses = [schedule.pause(30) for _look in range(8)]
        return pauses[-3:]

    longest_but_one = 0.25 * 1.5**5
    assert last_three_of_eight() == pytest.approx([longest_but_one * 0.35, 2 * 0.35, 2 * 0.99])
    schedule.restart()
    assert last_three_of_eight() == pytest.approx([longest_but_one * 0.99, 2 * 0.99, 2 * 0.99])
    schedule.restart(together=True)
    assert last_three_of_eight() == pytest.approx([longest_but_one * 0.35, 2 * 0.35, 2 * 0.99])


@pytest.mark.parametrize("timeout", [0, 0.1, 5, 100])
def test_the_last_look_falls_on_the_deadline(timeout: float) -> None:
    clock = ManualClock()
    waited = wait(clock, forever("waiting"), timeout)
    assert (waited.value, waited.settled) == ("waiting", False)
    assert clock.now - 1000 == pytest.approx(timeout)
    assert waited.elapsed == pytest.approx(timeout)


@given(st.floats(0, 500), st.one_of(st.none(), st.floats(1, 100)))
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


def test_what_a_server_asks_for_is_spread() -> None:
    assert Schedule(rng=lambda: 1.0).pause(0, retry_after=30.0) == pytest.approx(60 + 0.25 * 0.9)


def test_a_server_that_asked_for_fewer_requests_is_not_thanked_with_more() -> None:
    clock, error = ManualClock(), Passing()
    error.retry_after = 30.0
    wait(clock, iter(["a", "a", error, "a", "done"]), 300)
    assert clock.slept == pytest.approx([0.25, 0.375, 30.5625, 0.84375])


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


# ---------------------------------------------------------------------- what it comes to, simulated


@pytest.mark.parametrize(
    ("seconds", "shape", "most_requests", "most_delay"),
    [
        (0.5, "quick issuance", 1.6, 0.2),
        (2, "quick issuance", 2.3, 0.5),
        (2, "issuance of a second or two", 2.6, 0.5),
        (5, "quick issuance", 2.1, 0.7),
        (5, "issuance of a second or two", 2.3, 0.5),
        (5, "halves", 2.6, 0.7),
        (20, "quick issuance", 1.6, 1.0),
        (20, "issuance of a second or two", 1.6, 0.5),
        (60, "quick issuance", 1.2, 1.0),
        (60, "issuance of a second or two", 1.2, 0.5),
        (300, "slow issuance", 0.5, 10),
        (300, "halves", 0.5, 10),
    ],
)
def test_beside_a_fixed_poll(seconds: float, shape: str, most_requests: float, most_delay: float) -> None:
    """Requests and the mean delay, as multiples of those of a poll every two seconds."""
    rng = Random(1)
    lives = [life(seconds, shape, rng) for _order in range(1500)]
    ours = [watch(one, Schedule(rng=rng.random)) for one in lives]
    fixed = [watch(one, FixedPoll()) for one in lives]
    assert mean(one.requests for one in ours) <= most_requests * mean(one.requests for one in fixed)
    assert mean(one.delay for one in ours) <= most_delay * mean(one.delay for one in fixed)


@pytest.mark.parametrize("starts", [[0.0] * 1000, forks(1000, 50, 0.5)], ids=["all at once", "50 forks"])
def test_a_thousand_hosts_do_not_ask_as_one(starts: list[float]) -> None:
    last = starts[-1]
    moments = crowd(starts, 300, Random(1))
    for begin in (5.0, 5.5, 6.0):  # real requests take a moment, so nothing may hang on the very second
        assert busiest(moments, last + begin, 60) <= 1.5
    assert busiest(moments, last + 90, 300) <= 1.5


def test_the_simulation_sees_bursts() -> None:
    """Hosts that ask every two seconds, without jitter, do ask as one."""
    moments = crowd([0.0] * 100, 60, Random(1), schedule=lambda rng: FixedPoll())
    assert busiest(moments, 5, 60) > 1.9


def test_those_that_a_quota_turns_away_come_back_spread_out() -> None:
    moments, refused = turned_away(1000, 120, 100, 5.0, Random(1))
    assert refused > 1000
    assert busiest(moments, 15, 120) <= 2.5
