# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Durations as Vault reads and prints them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devserver.durations import go_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        (90, 90),
        (1.9, 1),
        ("90s", 90),
        ("1h30m", 5400),
        ("2d", 172800),
        ("1.5h", 5400),
        ("", 0),
        ("0", 0),
        ("-5s", -5),
        ("1500ms", 1),
    ],
)
def test_what_vault_understands(text: object, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["soon", "5 s", "s", "1h 30m", "5w", "--5s", True, None, [5], "1h!", 2**34, "-99999999999h", 1e300, 10**400],
)
def test_what_it_does_not(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (10, "10s"), (60, "1m0s"), (3600, "1h0m0s"), (90061, "25h1m1s"), (-60, "-1m0s")]
)
def test_go_spelling(seconds: int, text: str) -> None:
    assert go_duration(seconds) == text


@given(st.integers(min_value=-(10**9), max_value=10**9))
def test_what_is_printed_reads_back(seconds: int) -> None:
    assert parse_duration(go_duration(seconds)) == seconds


@given(st.text())
def test_no_text_does_anything_but_read_or_raise_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_duration(text), int)
