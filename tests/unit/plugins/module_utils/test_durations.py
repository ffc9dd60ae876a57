# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Durations and moments: whatever way they are written."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.durations import (
    RenewBefore,
    format_moment,
    parse_duration,
    parse_moment,
    parse_renew_before,
    plain_moment,
    same_duration,
    say_duration,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90),
        (90.9, 90),
        ("90", 90),
        (" 90s ", 90),
        ("1m30s", 90),
        ("1h30m", 5400),
        ("1.5h", 5400),
        (".5m", 30),
        ("1500ms", 1),
        ("2us", 0),
        ("2µs", 0),
        ("30d", 30 * 86400),
        ("2w", 14 * 86400),
        ("168h0m0s", 604800),
        ("0", 0),
    ],
)
def test_a_duration_is_whole_seconds(written: Any, seconds: int) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        "",
        "s",
        "-1",
        "1 h",
        "1x",
        "1h-5m",
        "h1",
        "1e3",
        "\u0661h",
        None,
        True,
        [],
        -1,
        float("nan"),
        float("inf"),
        "9" * 30,
        "9" * 18,
        "400000000d",
    ],
)
def test_what_is_no_duration_says_what_would_be(written: Any) -> None:
    with pytest.raises(ValueError, match="is not a duration; write seconds"):
        parse_duration(written)


@given(st.integers(0, 10**9))
def test_seconds_are_the_same_in_every_spelling(seconds: int) -> None:
    hours, rest = divmod(seconds, 3600)
    go = f"{hours}h{rest // 60}m{rest % 60}s"
    assert parse_duration(seconds) == parse_duration(str(seconds)) == parse_duration(go) == seconds
    assert same_duration(seconds, go)
    assert not same_duration(seconds + 1, go)


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.binary()))
def test_anything_is_a_duration_or_a_value_error(value: Any) -> None:
    try:
        assert parse_duration(value) >= 0
    except ValueError:
        assert same_duration(value, "1s") is False


def test_what_is_no_duration_equals_only_itself() -> None:
    assert same_duration("never", "never")
    assert not same_duration("never", "60s")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (30 * 86400, "30 days"),
        (-200, "-3 min"),
    ],
)
def test_a_person_reads_the_largest_unit_that_fits(seconds: int, said: str) -> None:
    assert say_duration(seconds) == said


BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
END = BEGIN + timedelta(days=90)


@pytest.mark.parametrize(
    ("written", "days"),
    [("30d", 60), ("0s", 90), (86400, 89), ("33.3333333333%", 60), ("0%", 90), (" 10 % ", 81)],
)
def test_renew_before_is_a_duration_or_a_share_of_the_lifetime(written: Any, days: int) -> None:
    moment = parse_renew_before(written).moment(BEGIN, END)
    assert abs(moment - (BEGIN + timedelta(days=days))) < timedelta(seconds=1)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("100%", "not a share of a certificate's lifetime"),
        ("-1%", "not a share"),
        ("%", "not a share"),
        ("1e1%", "not a share"),
        ("soon", "neither a duration nor a share of the lifetime"),
        (None, "neither a duration"),
    ],
)
def test_other_texts_are_no_renew_before(written: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_renew_before(written)


@given(st.integers(0, 99), st.integers(1, 1000))
def test_a_share_is_never_before_the_beginning_nor_after_the_end(percent: int, days: int) -> None:
    end = BEGIN + timedelta(days=days)
    assert BEGIN < RenewBefore(None, percent).moment(BEGIN, end) <= end


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=timezone.utc)),
        ("2026-01-31T13:00:00+01:00", datetime(2026, 1, 31, 12, tzinfo=timezone.utc)),
        ("2026-01-31t12:00:00.123456789z", datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=timezone.utc)),
        ("2026-01-31 12:00:00.5-00:30", datetime(2026, 1, 31, 12, 30, 0, 500000, tzinfo=timezone.utc)),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
    ],
)
def test_a_moment_is_rfc_3339(text: str, moment: datetime | None) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30T00:00:00Z",
        "2026-01-31",
        "2026-01-31T12:00Z",
        "2026-01-31T12:00:00",
        "now",
        "9999-12-31T23:59:59-01:00",
    ],
)
def test_other_texts_are_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"RFC 3339|calendar"):
        parse_moment(text)
    assert plain_moment(text) == text


@given(st.datetimes(datetime(2, 1, 1), timezones=st.just(timezone.utc)), st.integers(-14 * 60, 14 * 60))
def test_a_moment_survives_every_offset(moment: datetime, minutes: int) -> None:
    moment = min(max(moment, datetime(2, 1, 3, tzinfo=timezone.utc)), datetime(9999, 12, 30, tzinfo=timezone.utc))
    elsewhere = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert parse_moment(elsewhere.isoformat()) == moment
    plain = plain_moment(elsewhere.isoformat())
    assert plain == format_moment(moment)
    assert parse_moment(plain) == moment.replace(microsecond=0)


@given(st.text())
def test_any_text_is_a_moment_or_a_value_error(text: str) -> None:
    try:
        parse_moment(text)
    except ValueError:
        assert plain_moment(text) == text


def test_never_is_empty() -> None:
    assert plain_moment("0001-01-01T00:00:00Z") == ""
