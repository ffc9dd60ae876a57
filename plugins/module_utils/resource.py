# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Desired state: a resource is a description of its fields, and one function brings it about."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

from .durations import plain_moment
from .identifiers import same_spelling
from .vault_errors import ExtcaError, InvalidInput, UnexpectedAnswer


def same(one: Any, other: Any) -> bool:
    """Plain equality, with nothing and emptiness taken as one."""
    return bool((one or None) == (other or None))


def same_set(one: Any, other: Any) -> bool:
    """Equality of lists whatever their order and repetitions."""
    return set(one or ()) == set(other or ())


def same_names(one: Any, other: Any) -> bool:
    """Equality of lists of DNS names, whatever their order, repetitions and spelling."""
    return {same_spelling(name) for name in one or ()} == {same_spelling(name) for name in other or ()}


def plain_moments(values: Mapping[str, Any]) -> Dict[str, Any]:
    """What Vault says of a resource, with its moments (``…_date``) in one spelling."""
    return {
        name: plain_moment(value) if name.endswith("_date") and isinstance(value, str) else value
        for name, value in values.items()
    }


class Field(NamedTuple):
    """A field of a resource.

    ``same`` compares two values; ``fixed``: Vault lets nobody change it after creation; ``write_only``: it is never read back.
    ``of`` is the field that tells which secret a write-only one is: when that changes, the secret is another one too.
    ``remedy`` is what a person can do about a fixed field that differs.
    """

    name: str
    same: Callable[[Any, Any], bool] = same
    fixed: bool = False
    write_only: bool = False
    of: str = ""
    remedy: str = ""


class Resource(NamedTuple):
    """What a kind of resource is called, its fields, and whether its module has the option recreate.

    ``key`` is what Vault calls a resource's name, ``known`` what it says of all of the kind.
    """

    kind: str
    fields: Sequence[Field]
    recreatable: bool = False
    key: str = "name"
    known: Mapping[str, Any] = {}

    def wanted(self, params: Mapping[str, Any]) -> Dict[str, Any]:
        """The fields that a module's options give a value; the others are left as they are."""
        return {one.name: params[one.name] for one in self.fields if params.get(one.name) is not None}

    def readable(self, values: Mapping[str, Any]) -> Dict[str, Any]:
        """What may be shown of these values."""
        hidden = {one.name for one in self.fields if one.write_only}
        return {name: value for name, value in values.items() if name not in hidden}


class Change(NamedTuple):
    """What was, or in check mode would be, done. ``value`` is the resource afterwards, None if there is none."""

    changed: bool
    value: Optional[Dict[str, Any]]
    before: Dict[str, Any]
    after: Dict[str, Any]

    def diff(self) -> Dict[str, Any]:
        """For Ansible's ``--diff``; holds nothing that is write-only."""
        return {"before": self.before, "after": self.after}


def ensure(
    resource: Resource,
    name: str,
    *,
    state: str,
    wanted: Mapping[str, Any],
    current: Optional[Mapping[str, Any]],
    write: Callable[[Dict[str, Any]], Dict[str, Any]],
    delete: Callable[[], None],
    check_mode: bool,
    recreate: bool = False,
    rewrite: bool = False,
) -> Change:
    """Make ``current`` (None: there is none) what ``wanted`` says, or absent.

    ``write`` gets all fields that are to be sent and returns the resource; an update repeats what is not wanted otherwise, since
    whether Vault keeps what a write leaves out is not for us to rely on. ``recreate`` permits to delete and create where a
    field that is fixed differs; ``rewrite`` sends the write-only fields although they cannot be compared.
    Raises InvalidInput for a fixed field that differs.
    """
    if state == "absent":
        if current is None:
            return Change(False, None, {}, {})
        if not check_mode:
            delete()
        return Change(True, None, _fields_of(resource, current), {})

    if current is None:
        return _create(resource, name, wanted, {}, write, check_mode)

    differing = [
        one
        for one in resource.fields
        if one.name in wanted and not one.write_only and not _is_same(one, wanted[one.name], current.get(one.name))
    ]
    fixed = [one for one in differing if one.fixed]
    if fixed and not recreate:
        raise InvalidInput(_fixed(resource, name, fixed, wanted, current))
    if fixed:
        return _recreate(resource, name, wanted, current, write, delete, check_mode)

    changing = {one.name for one in differing}
    secrets = [
        one for one in resource.fields if one.write_only and one.name in wanted and (rewrite or one.of in changing)
    ]
    if not differing and not secrets:
        return Change(False, dict(current), {}, {})
    body = {one.name: current[one.name] for one in resource.fields if current.get(one.name) is not None}
    # What is the same in other words stays in Vault's words.
    after = {one.name: wanted[one.name] for one in differing}
    body.update(after)
    body.update({one.name: wanted[one.name] for one in secrets})
    value = {**current, **after} if check_mode else write(body)
    before = {one.name: current.get(one.name) for one in differing}
    after.update({one.name: "rewritten" for one in secrets})
    return Change(True, value, before, after)


def _fields_of(resource: Resource, current: Mapping[str, Any]) -> Dict[str, Any]:
    return {one.name: current[one.name] for one in resource.fields if one.name in current and not one.write_only}


def _is_same(field: Field, wanted: Any, current: Any) -> bool:
    try:
        return field.same(wanted, current)
    except (AttributeError, TypeError, ValueError):
        raise UnexpectedAnswer(
            f"Vault's answer has {field.name} as {current!r:.80}, which cannot be. Check mount, and that nothing between answers "
            "for Vault."
        ) from None


def _create(
    resource: Resource,
    name: str,
    wanted: Mapping[str, Any],
    before: Dict[str, Any],
    write: Callable[[Dict[str, Any]], Dict[str, Any]],
    check_mode: bool,
) -> Change:
    shown = resource.readable(wanted)
    value = {resource.key: name, **resource.known, **shown} if check_mode else write(dict(wanted))
    return Change(True, value, before, shown)


def _recreate(
    resource: Resource,
    name: str,
    wanted: Mapping[str, Any],
    current: Mapping[str, Any],
    write: Callable[[Dict[str, Any]], Dict[str, Any]],
    delete: Callable[[], None],
    check_mode: bool,
) -> Change:
    if not check_mode:
        delete()
    try:
        return _create(resource, name, wanted, _fields_of(resource, current), write, check_mode)
    except ExtcaError as error:
        message = f"{resource.kind} {name} was deleted to be created anew, and then: {error.message}"
        raise ExtcaError(message, **{**error.details, "changed": True}) from None


def _fixed(
    resource: Resource, name: str, fields: List[Field], wanted: Mapping[str, Any], current: Mapping[str, Any]
) -> str:
    which = ", ".join(
        f"{one.name} is {current.get(one.name)!r} and not {wanted[one.name]!r}"
        + (f" ({one.remedy})" if one.remedy else "")
        for one in fields
    )
    recreate = ", or set recreate: true to have it deleted and created anew" if resource.recreatable else ""
    return (
        f"{resource.kind} {name} exists, and cannot be changed in what is fixed after creation: {which}. "
        f"Use another name, or delete it first (state: absent){recreate}."
    )
