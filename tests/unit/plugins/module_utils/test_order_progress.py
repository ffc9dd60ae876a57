# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What is told of a wait while it lasts."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils import order_progress, progress_lines
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import OrderReference
from ansible_collections.certops.vault_extca.plugins.module_utils.orders import unread_order
from hypothesis import given
from hypothesis import strategies as st

REFERENCE = OrderReference("web", "0193-ab")


class Time:
    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def order(status: str, **challenges: str) -> Any:
    """An order for a.test, b.test and c.test; ``a="valid"`` is the state of a.test's challenge."""
    found = unread_order(REFERENCE, status, ["a.test", "b.test", "c.test"])
    found["challenges"] = {
        f"{name}.test": [
            {"challenge_type": "http-01", "challenge_status": state, "expires": "", "requires_manual_fulfillment": None}
        ]
        for name, state in challenges.items()
    }
    return found


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(progress_lines.VARIABLE, str(tmp_path / "progress"))
    return tmp_path / "progress"


def test_a_line_for_each_change_and_nothing_afterwards(path: Path) -> None:
    clock = Time()
    with order_progress.telling(REFERENCE, 300, clock=clock) as progress:
        seen = progress_lines.last_seen(path.read_text())
        assert seen is not None
        assert seen.sentence(1.2) == "… order 0193-ab: not read yet, 1 s of 300 s"
        progress(order("submitted"), 0.0)
        clock.sleep(40)
        progress(order("processing-challenge", a="valid", b="pending"), 0.0)
        before = path.stat().st_size
        clock.sleep(2)
        progress(order("processing-challenge", a="valid", b="pending"), 0.0)
        assert path.stat().st_size == before
        assert len(path.read_text().splitlines()) == 3
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        seen = progress_lines.last_seen(path.read_text())
        assert seen is not None
        assert seen.elapsed == 40
        # c.test has no challenges: it has been proven before.
        expected = "… order 0193-ab: processing-challenge, 2 of 3 identifiers valid, 45 s of 300 s"
        assert seen.sentence(45.4) == expected
    assert not path.exists()


def test_the_wait_never_lasts_longer_than_its_timeout() -> None:
    assert progress_lines.Seen("x", "submitted", None, 1, 0.0, 10).sentence(11).endswith("10 s of 10 s")
    assert "0 of 1 identifier valid" in progress_lines.Seen("x", "processing-challenge", 0, 1, 0.0, 10).sentence(1)


def test_nothing_is_told_unless_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(progress_lines.VARIABLE, raising=False)
    with order_progress.telling(REFERENCE, 300) as progress:
        progress(order("submitted"), 0.0)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_left_alone(path: Path) -> None:
    path.write_text("somebody's")
    with order_progress.telling(REFERENCE, 300) as progress:
        progress(order("submitted"), 0.0)
    assert path.read_text() == "somebody's"


@given(st.text())
def test_any_text_is_read_or_is_nothing(text: str) -> None:
    assert progress_lines.last_seen(text) is None
    assert progress_lines.last_seen(text + "\n") is None


@pytest.mark.parametrize(
    "change",
    [
        {"order_id": "\u001b[2J"},
        {"order_id": 3},
        {"order_status": "new\nline"},
        {"valid": "1"},
        {"identifiers": -1},
        {"elapsed": float("nan")},
        {"timeout": True},
    ],
)
def test_what_no_module_has_written_is_not_shown(change: dict[str, Any]) -> None:
    row = {"order_id": "a", "order_status": "new", "valid": 1, "identifiers": 1, "elapsed": 1.0, "timeout": 300}
    assert progress_lines.last_seen(json.dumps(row) + "\n") is not None
    assert progress_lines.last_seen(json.dumps({**row, **change}) + "\n") is None
