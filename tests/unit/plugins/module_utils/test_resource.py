# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Desired state: what ensure() does, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.durations import same_duration
from ansible_collections.certops.vault_extca.plugins.module_utils.resource import (
    Change,
    Field,
    Resource,
    ensure,
    plain_moments,
    same,
    same_names,
    same_set,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_errors import (
    BadRequest,
    ExtcaError,
    InvalidInput,
)
from hypothesis import given
from hypothesis import strategies as st

FIELDS = (
    Field("colour", fixed=True, remedy="paint it"),
    Field("tags", same=same_set),
    Field("ttl", same=same_duration),
    Field("note"),
    Field("secret", write_only=True),
)
THING = Resource("Thing", FIELDS, recreatable=True)
THERE = {"name": "one", "colour": "red", "tags": ["a", "b"], "ttl": "1m0s", "note": ""}


class Store:
    """What the resource lives in; it remembers what was asked of it."""

    def __init__(self, current: dict[str, Any] | None, refuses: Exception | None = None) -> None:
        self.current = current
        self.refuses = refuses
        self.written: list[dict[str, Any]] = []
        self.deleted = 0

    def write(self, fields: dict[str, Any]) -> dict[str, Any]:
        if self.refuses is not None:
            raise self.refuses
        self.written.append(fields)
        self.current = {"name": "one", **{name: value for name, value in fields.items() if name != "secret"}}
        return self.current

    def delete(self) -> None:
        self.deleted += 1
        self.current = None

    def ensure(
        self, state: str = "present", resource: Resource = THING, check_mode: bool = False, **how: Any
    ) -> Change:
        how.setdefault("wanted", {})
        return ensure(
            resource,
            "one",
            state=state,
            current=self.current,
            write=self.write,
            delete=self.delete,
            check_mode=check_mode,
            **how,
        )


def test_what_is_not_there_is_created_with_its_secret_and_shown_without() -> None:
    store = Store(None)
    change = store.ensure(wanted={"colour": "red", "secret": "s3cret"})
    assert store.written == [{"colour": "red", "secret": "s3cret"}]
    assert change.changed
    assert change.diff() == {"before": {}, "after": {"colour": "red"}}


def test_values_of_the_same_meaning_change_nothing() -> None:
    store = Store(dict(THERE))
    change = store.ensure(wanted={"colour": "red", "tags": ["b", "a", "b"], "ttl": 60, "note": "", "secret": "s3cret"})
    assert not change.changed
    assert change.value == THERE
    assert change.diff() == {"before": {}, "after": {}}
    assert store.written == []


def test_an_update_repeats_the_rest_in_the_words_of_the_other_side() -> None:
    store = Store(dict(THERE))
    change = store.ensure(wanted={"tags": ["b", "a"], "note": "new", "secret": "s3cret"})
    assert store.written == [{"colour": "red", "tags": ["a", "b"], "ttl": "1m0s", "note": "new"}]
    assert change.diff() == {"before": {"note": ""}, "after": {"note": "new"}}


def test_what_nobody_asked_for_stays() -> None:
    assert not Store(dict(THERE)).ensure(wanted={}).changed


def test_a_secret_is_rewritten_only_on_demand_and_never_shown() -> None:
    store = Store(dict(THERE))
    change = store.ensure(wanted={"secret": "s3cret"}, rewrite=True)
    assert change.changed
    assert store.written == [{"colour": "red", "tags": ["a", "b"], "ttl": "1m0s", "note": "", "secret": "s3cret"}]
    assert change.diff() == {"before": {}, "after": {"secret": "rewritten"}}


def test_a_secret_is_written_with_what_tells_which_it_is() -> None:
    secret_of_note = THING._replace(fields=(Field("note"), Field("secret", write_only=True, of="note")))
    store = Store(dict(THERE))
    change = store.ensure(resource=secret_of_note, wanted={"note": "new", "secret": "s3cret"})
    assert store.written == [{"note": "new", "secret": "s3cret"}]
    assert change.diff() == {"before": {"note": ""}, "after": {"note": "new", "secret": "rewritten"}}
    assert not Store(dict(THERE)).ensure(resource=secret_of_note, wanted={"note": "", "secret": "other"}).changed


def test_rewriting_without_a_secret_changes_nothing() -> None:
    assert not Store(dict(THERE)).ensure(wanted={"note": ""}, rewrite=True).changed


def test_a_fixed_field_that_differs_is_an_error_that_names_it() -> None:
    store = Store(dict(THERE))
    with pytest.raises(InvalidInput) as caught:
        store.ensure(wanted={"colour": "blue", "note": "new"})
    assert caught.value.message == (
        "Thing one exists, and cannot be changed in what is fixed after creation: colour is 'red' and not 'blue' (paint it). "
        "Use another name, or delete it first (state: absent), or set recreate: true to have it deleted and created anew."
    )
    assert (store.written, store.deleted) == ([], 0)


def test_recreate_is_not_advised_where_there_is_none() -> None:
    with pytest.raises(InvalidInput) as caught:
        Store(dict(THERE)).ensure(resource=Resource("Thing", FIELDS), wanted={"colour": "blue"})
    assert "recreate" not in caught.value.message


def test_recreate_deletes_and_creates_from_what_is_wanted() -> None:
    store = Store(dict(THERE))
    change = store.ensure(wanted={"colour": "blue", "secret": "s3cret"}, recreate=True)
    assert (store.deleted, store.written) == (1, [{"colour": "blue", "secret": "s3cret"}])
    assert change.diff() == {
        "before": {"colour": "red", "tags": ["a", "b"], "ttl": "1m0s", "note": ""},
        "after": {"colour": "blue"},
    }


def test_recreate_leaves_alone_what_differs_in_nothing_fixed() -> None:
    store = Store(dict(THERE))
    store.ensure(wanted={"colour": "red", "note": "new"}, recreate=True)
    assert store.deleted == 0


def test_a_failure_after_the_deletion_says_that_it_is_gone() -> None:
    store = Store(dict(THERE), refuses=BadRequest("Vault answered 400.", status=400, answer={"success": False}))
    with pytest.raises(ExtcaError) as caught:
        store.ensure(wanted={"colour": "blue"}, recreate=True)
    assert caught.value.message == "Thing one was deleted to be created anew, and then: Vault answered 400."
    assert caught.value.details == {"answer": {"success": False}, "changed": True}


def test_absent_deletes_once() -> None:
    store = Store({**THERE, "unrelated": 1})
    change = store.ensure("absent")
    assert (change.changed, change.value, store.deleted) == (True, None, 1)
    assert change.diff() == {"before": {"colour": "red", "tags": ["a", "b"], "ttl": "1m0s", "note": ""}, "after": {}}
    again = store.ensure("absent")
    assert (again.changed, store.deleted) == (False, 1)


@pytest.mark.parametrize(
    ("current", "state", "how"),
    [
        (None, "present", {"wanted": {"colour": "red", "secret": "s3cret"}}),
        (THERE, "present", {"wanted": {"note": "new"}}),
        (THERE, "present", {"wanted": {"secret": "s3cret"}, "rewrite": True}),
        (THERE, "present", {"wanted": {"colour": "blue"}, "recreate": True}),
        (THERE, "absent", {}),
    ],
)
def test_check_mode_tells_what_would_happen_and_does_nothing(
    current: dict[str, Any] | None, state: str, how: dict[str, Any]
) -> None:
    real, trial = Store(current), Store(current)
    expected = real.ensure(state, **how)
    foreseen = trial.ensure(state, check_mode=True, **how)
    assert (trial.written, trial.deleted) == ([], 0)
    assert (foreseen.changed, foreseen.diff()) == (expected.changed, expected.diff())
    assert {"name": "one", **(foreseen.value or {})} == {"name": "one", **(expected.value or {})}


def test_check_mode_finds_the_same_errors() -> None:
    with pytest.raises(InvalidInput):
        Store(dict(THERE)).ensure(wanted={"colour": "blue"}, check_mode=True)


def test_wanted_are_the_options_that_have_a_value() -> None:
    assert THING.wanted({"colour": "red", "tags": None, "note": "", "other": 1}) == {"colour": "red", "note": ""}


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_sets_compare_whatever_their_order(one: list[str], other: list[str]) -> None:
    assert same_set(one, other) == (sorted(set(one)) == sorted(set(other)))


def test_nothing_and_emptiness_are_one() -> None:
    nothings: tuple[Any, ...] = ("", [], 0, {}, False)
    assert all(same(None, nothing) for nothing in nothings)
    assert same_set(None, [])
    assert same_names(None, [])
    assert not same("", "x")


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (["räksmörgås.se"], ["xn--rksmrgs-5wao1o.se"], True),
        (["B.example", "a.example."], ["a.example", "b.example"], True),
        (["{{identity.entity.name}}.example.com"], ["{{identity.entity.name}}.example.com"], True),
        (["*.example.com"], ["example.com"], False),
    ],
)
def test_names_compare_by_what_they_name(one: list[str], other: list[str], equal: bool) -> None:
    assert same_names(one, other) is equal


def test_moments_are_in_one_spelling() -> None:
    found = plain_moments({"creation_date": "2026-01-31T13:00:00.5+01:00", "update_date": None, "note": "1_date"})
    assert found == {"creation_date": "2026-01-31T12:00:00Z", "update_date": None, "note": "1_date"}
