# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The record of work under way: what survives a kill, and who may go first."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.polling import Patience
from ansible_collections.certops.vault_extca.plugins.module_utils.unfinished_work import (
    Busy,
    UnfinishedWork,
    open_work,
    record_path,
    recorded,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_errors import ExtcaError, InvalidInput

from ...support import ManualClock, full_disk


def opened(path: Path) -> UnfinishedWork:
    work = open_work(str(path), Patience(0))
    assert work is not None
    return work


def test_the_record_is_hidden_beside_the_file() -> None:
    assert record_path("/etc/ssl/www.key") == "/etc/ssl/.www.key.vault_extca"


def test_what_was_noted_is_there_for_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "record"
    work = opened(path)
    work.note(order_id="one", ordering=True)
    work.note(order_id="two")
    work.close()
    again = opened(path)
    assert again.values == {"order_id": "two", "ordering": True}
    again.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_record_that_cannot_be_removed_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record"
    work = opened(path)
    work.note(order_id="one")

    def refuse(_path: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "unlink", refuse)
    work.forget()
    work.close()
    again = opened(path)
    assert again.is_empty
    again.close()


@pytest.mark.parametrize("room", [0, 1])
def test_a_full_disk_is_told(tmp_path: Path, room: int) -> None:
    path = tmp_path / "record"
    work = opened(path)
    work.note(first=1)
    size = path.stat().st_size
    with (
        full_disk(size + room),
        pytest.raises(ExtcaError, match=f"{path}, which the next run needs, cannot be written"),
    ):
        work.note(second=2)
    work.close()
    again = opened(path)
    assert again.values == {"first": 1}
    again.close()


@pytest.mark.parametrize("cut", range(1, 16))
def test_a_line_that_was_cut_short_is_lost_alone(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "record"
    work = opened(path)
    work.note(first=1)
    size = path.stat().st_size
    work.note(second=2)
    work.close()
    os.truncate(path, max(path.stat().st_size - cut, size))
    again = opened(path)
    assert again.values["first"] == 1
    again.note(third=3)
    again.close()
    last = opened(path)
    assert (last.values["first"], last.values["third"]) == (1, 3)
    last.close()


def test_a_record_can_be_read_without_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "record"
    assert recorded(str(path)) == {}
    work = opened(path)
    work.note(moves=[])
    assert recorded(str(path)) == {"moves": []}
    work.close()
    (tmp_path / "link").symlink_to(path)
    assert recorded(str(tmp_path / "link")) == {}


def test_starting_anew_forgets_and_keeps_the_lock(tmp_path: Path) -> None:
    work = opened(tmp_path / "record")
    work.note(order_id="one")
    work.start_anew()
    assert work.is_empty
    work.note(order_id="two")
    assert open_work(str(tmp_path / "record"), None) is None
    work.close()
    assert opened(tmp_path / "record").values == {"order_id": "two"}


def test_nothing_is_left_of_work_that_is_done(tmp_path: Path) -> None:
    work = opened(tmp_path / "record")
    work.forget()
    work.forget()
    work.close()
    assert list(tmp_path.iterdir()) == []


def test_who_waits_too_long_is_told_for_whom(tmp_path: Path) -> None:
    held = opened(tmp_path / "record")
    clock = ManualClock()
    with pytest.raises(Busy, match="at work on the same files for 60 s"):
        open_work(str(tmp_path / "record"), Patience(60), clock)
    assert sum(clock.slept) == pytest.approx(60)
    held.close()


def test_a_record_that_was_removed_while_waiting_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "record"
    held = opened(path)

    class Clock(ManualClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            held.forget()
            held.close()

    work = open_work(str(path), Patience(60), Clock())
    assert work is not None
    assert os.path.samestat(path.stat(), os.fstat(work._descriptor))
    work.close()


def test_a_record_of_somebody_else_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "record").write_text('{"order_id": "evil"}\n')
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(InvalidInput, match="belongs to another user"):
        open_work(str(tmp_path / "record"), Patience(0))


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "record").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="cannot be written"):
        open_work(str(tmp_path / "record"), Patience(0))
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_system_without_locks_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: object) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    opened(tmp_path / "record").close()
