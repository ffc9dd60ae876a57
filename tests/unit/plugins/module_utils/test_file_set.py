# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Files replaced as one set."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils import file_set
from ansible_collections.certops.vault_extca.plugins.module_utils.file_set import (
    Move,
    NewFile,
    check_place,
    discard_leftovers,
    finish_moves,
    rename_all,
    replace_files,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_errors import ExtcaError, InvalidInput

from ...support import full_disk


def nothing(*_args: Any) -> None:
    """Neither dress nor note."""


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_new_and_old_files_are_replaced_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    noted: list[Any] = []
    dressed: list[str] = []
    replace_files(
        [NewFile(str(tmp_path / "a"), b"new a"), NewFile(str(tmp_path / "b"), b"new b")],
        lambda staged, path: dressed.append(f"{Path(staged).read_text()} for {Path(path).name}"),
        noted.append,
    )
    assert content(tmp_path) == {"a": "new a", "b": "new b"}
    assert dressed == ["new a for a", "new b for b"]
    assert [len(moves) for moves in noted] == [2, 0]


def test_a_new_file_is_its_owners_alone_until_it_is_dressed(tmp_path: Path) -> None:
    modes: list[int] = []
    replace_files(
        [NewFile(str(tmp_path / "a"), b"x")], lambda staged, _path: modes.append(Path(staged).stat().st_mode), nothing
    )
    assert modes[0] & 0o777 == 0o600


def test_nothing_is_changed_when_a_file_cannot_be_dressed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def dress(_staged: str, path: str) -> None:
        if path.endswith("b"):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), path)

    with pytest.raises(ExtcaError, match="Operation not permitted. No file was changed"):
        replace_files([NewFile(str(tmp_path / "a"), b"n"), NewFile(str(tmp_path / "b"), b"n")], dress, nothing)
    assert content(tmp_path) == {"a": "old"}


def test_of_a_full_disk_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with full_disk(2), pytest.raises(ExtcaError, match=f"{tmp_path / 'a'} cannot be written: File too large. No file"):
        replace_files([NewFile(str(tmp_path / "a"), b"new"), NewFile(str(tmp_path / "b"), b"n")], nothing, nothing)
    assert content(tmp_path) == {"a": "old"}


def test_whatever_is_raised_while_files_are_made_leaves_none(tmp_path: Path) -> None:
    def end(*_args: object) -> None:
        raise SystemExit(1)

    with pytest.raises(SystemExit):
        replace_files([NewFile(str(tmp_path / "a"), b"n")], end, nothing)
    assert content(tmp_path) == {}


def staged(folder: Path, *names: str) -> list[Move]:
    moves = []
    for name in names:
        (folder / f".{name}.new").write_text(f"new {name}")
        old = None
        if (folder / name).exists():
            os.link(folder / name, folder / f".{name}{file_set.OLD}")
            old = str(folder / f".{name}{file_set.OLD}")
        moves.append(Move(str(folder / f".{name}.new"), str(folder / name), old))
    return moves


def test_a_rename_that_fails_restores_those_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("old a")
    (tmp_path / "c").write_text("old c")
    moves = staged(tmp_path, "a", "b", "c")
    rename = os.rename

    def failing(source: str, target: str) -> None:
        if source.endswith(".c.new"):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), target)
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    assert rename_all(moves) == f"{tmp_path / 'c'} cannot be replaced: Device or resource busy"
    kept = {name: text for name, text in content(tmp_path).items() if not name.startswith(".")}
    assert kept == {"a": "old a", "c": "old c"}


def test_a_failure_half_way_is_told_with_the_old_set_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("old a")
    noted: list[Any] = []
    monkeypatch.setattr(file_set, "rename_all", lambda moves: "b cannot be replaced: Device or resource busy")
    with pytest.raises(ExtcaError, match="Device or resource busy. The files are as they were before"):
        replace_files([NewFile(str(tmp_path / "a"), b"n"), NewFile(str(tmp_path / "b"), b"n")], nothing, noted.append)
    assert content(tmp_path) == {"a": "old a"}
    assert noted[-1] is None


def test_a_renaming_process_that_is_killed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_set, "rename_all", lambda moves: os._exit(9))
    with pytest.raises(ExtcaError, match="was killed. Run the task again"):
        replace_files([NewFile(str(tmp_path / "a"), b"n")], nothing, nothing)


def test_without_a_second_process_the_renames_are_made_in_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> int:
        raise OSError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr(os, "fork", none)
    replace_files([NewFile(str(tmp_path / "a"), b"new")], nothing, nothing)
    assert content(tmp_path) == {"a": "new"}


@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_moves_that_were_cut_short_are_finished(tmp_path: Path, done: int) -> None:
    (tmp_path / "a").write_text("old a")
    (tmp_path / "b").write_text("old b")
    moves = staged(tmp_path, "a", "b", "c")
    for move in moves[:done]:
        Path(move.staged).rename(move.path)
    finish_moves(moves)
    assert content(tmp_path) == {"a": "new a", "b": "new b", "c": "new c"}


def test_on_a_file_system_without_hard_links_the_old_file_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_args: Any) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refused)
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o640)
    kept: list[Move] = []
    seen: list[str] = []

    def note(moves: list[Move] | None) -> None:
        for move in moves or []:
            kept.append(move)
            assert move.old is not None
            seen.append(f"{Path(move.old).read_text()} {Path(move.old).stat().st_mode & 0o777:o}")

    replace_files([NewFile(str(tmp_path / "a"), b"new")], nothing, note)
    assert seen == ["old 640"]
    assert content(tmp_path) == {"a": "new"}


def test_leftovers_of_a_run_that_was_killed_early_are_removed(tmp_path: Path) -> None:
    (tmp_path / f".a{file_set.NEW}").write_text("secret")
    (tmp_path / f".a{file_set.OLD}").write_text("secret")
    discard_leftovers([str(tmp_path / "a"), str(tmp_path / "b")])
    assert content(tmp_path) == {}


def test_places_where_no_file_can_be_are_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="does not exist; create it"):
        check_place(str(tmp_path / "no" / "a"))
    with pytest.raises(InvalidInput, match="exists and is not a file"):
        check_place(str(tmp_path))


def test_a_directory_that_is_not_writable_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_args: False)
    with pytest.raises(InvalidInput, match="is not writable"):
        check_place(str(tmp_path / "a"))
