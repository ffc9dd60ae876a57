# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The state file, and the answers to open questions."""

from __future__ import annotations

import re
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devserver.answers import ANSWERS, Answers, parse
from devserver.clock import ServerClock
from devserver.storage import State, StateFileError

KEYS = st.text(alphabet="ab/é\U0001f600", min_size=1, max_size=5)
STEPS = st.lists(st.tuples(st.sampled_from(["put", "delete", "clear"]), KEYS, st.integers()), max_size=30)


@settings(max_examples=50, deadline=None)
@given(STEPS, KEYS)
def test_a_view_behaves_like_a_dictionary_and_survives(steps: list[tuple[str, str, int]], prefix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        state = State(path)
        view, model = state.view("part/"), dict[str, dict[str, int]]()
        state.put("other", {"kept": True})
        for action, key, number in steps:
            if action == "put":
                view.put(key, {"number": number})
                model[key] = {"number": number}
            elif action == "delete":
                view.delete(key)
                model.pop(key, None)
            else:
                view.clear()
                model.clear()
        state.close()
        reopened = State(path)
        view = reopened.view("part/")
        assert {key: view.get(key) for key in view.keys("")} == model
        assert view.keys(prefix) == sorted(key[len(prefix) :] for key in model if key.startswith(prefix))
        assert reopened.get("other") == {"kept": True}
        reopened.close()


def test_a_read_is_a_copy() -> None:
    state = State()
    state.put("key", {"list": [1]})
    first = state.get("key")
    assert first is not None
    first["list"].append(2)
    assert state.get("key") == {"list": [1]}


def test_nobody_else_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state"
    state = State(path)
    state.put("key", {})
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    state.close()
    assert modes == {"state": 0o600, "state-wal": 0o600}


def test_a_file_that_is_no_state_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, and not a database\n" * 100)
    with pytest.raises(StateFileError, match=r"notes\.txt"):
        State(path)
    with pytest.raises(StateFileError, match="absent"):
        State(tmp_path / "absent" / "state")


def test_the_first_answer_is_the_default() -> None:
    answers = Answers({"OQ-3": "204"})
    assert answers("OQ-1") == "400"
    assert answers("OQ-3") == "204"
    answers.update({"OQ-1": 404})
    assert answers("OQ-1") == "404"
    assert set(answers.in_force()) == set(ANSWERS)


@pytest.mark.parametrize(
    ("pair", "complaint"),
    [("OQ-1", "not of the form"), ("OQ-99=1", "there is no question"), ("OQ-1=500", "use one of 400, 404, 200")],
)
def test_a_bad_answer_says_what_would_be_right(pair: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse([pair])


def test_every_question_is_documented_with_its_answers() -> None:
    text = (Path(__file__).parents[3] / "docs" / "development-vault.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (OQ-\d+) \| .+ \| (.+) \|$", text, re.MULTILINE)
    documented = {question: tuple(re.findall("`(.+?)`", answers)) for question, answers in rows}
    assert documented == dict(ANSWERS)


def test_one_bad_answer_changes_nothing() -> None:
    answers = Answers()
    with pytest.raises(ValueError, match="OQ-2"):
        answers.update({"OQ-1": "404", "OQ-2": "maybe"})
    assert answers("OQ-1") == "400"


def test_the_clock_moves_forward_alone() -> None:
    clock = ServerClock()
    before, ticks = clock.now(), clock.monotonic()
    clock.advance(3600)
    assert (clock.now() - before).total_seconds() >= 3600
    assert clock.monotonic() - ticks >= 3600
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)
