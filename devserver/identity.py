# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Entities, their aliases and groups, and the templates that speak of them."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from .framework import Clock, Storage

_TEMPLATE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


@dataclass
class Entity:
    """A person or a machine, whatever auth method it comes in by."""

    id: str
    namespace: str
    name: str
    created: float
    updated: float
    metadata: dict[str, str] = field(default_factory=dict)
    policies: list[str] = field(default_factory=list)
    disabled: bool = False


@dataclass
class Alias:
    """The name of an entity at one auth method, which its mount accessor names."""

    id: str
    namespace: str
    name: str
    mount_accessor: str
    entity_id: str
    created: float
    updated: float
    mount_path: str = ""
    mount_type: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    custom_metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class Group:
    """A group of entities and of other groups."""

    id: str
    namespace: str
    name: str
    created: float
    updated: float
    metadata: dict[str, str] = field(default_factory=dict)
    policies: list[str] = field(default_factory=list)
    member_entity_ids: list[str] = field(default_factory=list)
    member_group_ids: list[str] = field(default_factory=list)


_Record = TypeVar("_Record", Entity, Alias, Group)


class IdentityStore:
    """Entities, aliases and groups of all namespaces. Writes happen on the event loop alone; reads anywhere."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self.version = 0  # moves with every change, so that what was computed from it can be kept
        self.entities = self._load("entity/", Entity)
        self.aliases = self._load("alias/", Alias)
        self.groups = self._load("group/", Group)

    def entity(self, id: str) -> Entity | None:
        """The entity with this id."""
        return self.entities.get(id)

    def entity_named(self, namespace: str, name: str) -> Entity | None:
        """The entity of this name, which is unique in its namespace; letter case does not matter."""
        return _named(self.entities.values(), namespace, name)

    def group_named(self, namespace: str, name: str) -> Group | None:
        """The group of this name."""
        return _named(self.groups.values(), namespace, name)

    def alias_at(self, mount_accessor: str, name: str) -> Alias | None:
        """The alias of this name at this auth method."""
        for alias in list(self.aliases.values()):
            if alias.mount_accessor == mount_accessor and alias.name == name:
                return alias
        return None

    def aliases_of(self, entity_id: str) -> list[Alias]:
        """Every alias of an entity."""
        return [alias for alias in list(self.aliases.values()) if alias.entity_id == entity_id]

    def new_entity(self, namespace: str, name: str = "") -> Entity:
        """An entity that is not stored yet."""
        now = self._clock.now().timestamp()
        return Entity(str(uuid.uuid4()), namespace, name or f"entity_{secrets.token_hex(4)}", now, now)

    def new_group(self, namespace: str, name: str = "") -> Group:
        """A group that is not stored yet."""
        now = self._clock.now().timestamp()
        return Group(str(uuid.uuid4()), namespace, name or f"group_{secrets.token_hex(4)}", now, now)

    def new_alias(self, namespace: str, name: str, mount_accessor: str, entity_id: str) -> Alias:
        """An alias that is not stored yet."""
        now = self._clock.now().timestamp()
        return Alias(str(uuid.uuid4()), namespace, name, mount_accessor, entity_id, now, now)

    def save(self, record: Entity | Alias | Group) -> None:
        """Store what is new or has changed."""
        record.updated = self._clock.now().timestamp()
        if isinstance(record, Entity):
            self.entities[record.id] = record
            kind = "entity"
        elif isinstance(record, Alias):
            self.aliases[record.id] = record
            kind = "alias"
        else:
            self.groups[record.id] = record
            kind = "group"
        self._storage.put(f"{kind}/{record.id}", asdict(record))
        self.version += 1

    def delete_entity(self, id: str) -> None:
        """Remove an entity, its aliases and its memberships."""
        for alias in self.aliases_of(id):
            self.delete_alias(alias.id)
        for group in list(self.groups.values()):
            if id in group.member_entity_ids:
                group.member_entity_ids.remove(id)
                self.save(group)
        self.entities.pop(id, None)
        self._storage.delete(f"entity/{id}")
        self.version += 1

    def delete_alias(self, id: str) -> None:
        """Remove an alias."""
        self.aliases.pop(id, None)
        self._storage.delete(f"alias/{id}")
        self.version += 1

    def delete_group(self, id: str) -> None:
        """Remove a group."""
        self.groups.pop(id, None)
        self._storage.delete(f"group/{id}")
        self.version += 1

    def delete_namespace(self, namespace: str) -> None:
        """Remove everything of a namespace that goes away."""
        for entity in [one for one in self.entities.values() if one.namespace == namespace]:
            self.delete_entity(entity.id)
        for group in [one for one in self.groups.values() if one.namespace == namespace]:
            self.delete_group(group.id)

    def log_in(
        self,
        namespace: str,
        mount_accessor: str,
        mount_path: str,
        mount_type: str,
        name: str,
        metadata: Mapping[str, str],
    ) -> Entity | None:
        """The entity behind a login, made where this is the first one; None where the entity was disabled."""
        alias = self.alias_at(mount_accessor, name)
        if alias is None:
            entity = self.new_entity(namespace)
            self.save(entity)
            alias = self.new_alias(namespace, name, mount_accessor, entity.id)
        found = self.entities[alias.entity_id]
        wanted = (mount_path, mount_type, dict(metadata))
        if alias.id not in self.aliases or (alias.mount_path, alias.mount_type, alias.metadata) != wanted:
            alias.mount_path, alias.mount_type, alias.metadata = wanted
            self.save(alias)
        return None if found.disabled else found

    def groups_of(self, entity_id: str) -> list[Group]:
        """Groups that the entity is a member of, also by way of other groups."""
        groups = list(self.groups.values())
        found = {group.id: group for group in groups if entity_id in group.member_entity_ids}
        waiting = list(found)
        while waiting:
            member = waiting.pop()
            for group in groups:
                if member in group.member_group_ids and group.id not in found:
                    found[group.id] = group
                    waiting.append(group.id)
        return list(found.values())

    def policies_of(self, entity_id: str) -> dict[str, set[str]]:
        """Policies of the entity and of its groups, by the namespace that they belong to."""
        entity = self.entities.get(entity_id)
        if entity is None:
            return {}
        policies: dict[str, set[str]] = {}
        holders: list[Entity | Group] = [entity, *self.groups_of(entity_id)]
        for holder in holders:
            if holder.policies:
                policies.setdefault(holder.namespace, set()).update(holder.policies)
        return policies

    def render(self, text: str, entity_id: str) -> str | None:
        """The text with its templates filled in, or None where one has no value for this entity."""
        if "{{" not in text:
            return text
        entity = self.entities.get(entity_id)
        if entity is None:
            return None
        missing = False

        def fill(match: re.Match[str]) -> str:
            nonlocal missing
            value = self._value(match.group(1), entity)
            missing = missing or value is None
            return value or ""

        rendered = _TEMPLATE.sub(fill, text)
        return None if missing or "{{" in rendered else rendered

    def _value(self, expression: str, entity: Entity) -> str | None:
        words = expression.split(".")
        if words[:2] == ["identity", "entity"]:
            return self._entity_value(words[2:], entity)
        if words[:2] == ["identity", "groups"] and len(words) >= 5:
            return self._group_value(words[2], words[3:], entity)
        return None

    def _entity_value(self, words: list[str], entity: Entity) -> str | None:
        match words:
            case ["id"]:
                return entity.id
            case ["name"]:
                return entity.name
            case ["metadata", *key] if key:
                return entity.metadata.get(".".join(key))
            case ["aliases", accessor, *rest] if rest:
                for alias in self.aliases_of(entity.id):
                    if alias.mount_accessor == accessor:
                        return _alias_value(rest, alias)
        return None

    def _group_value(self, by: str, words: list[str], entity: Entity) -> str | None:
        for group in self.groups_of(entity.id):
            # A name may hold dots, so it is compared with the front of the expression and not split off.
            key = {"ids": group.id, "names": group.name}.get(by)
            expression = ".".join(words)
            if key is None or not expression.startswith(f"{key}."):
                continue
            rest = expression[len(key) + 1 :]
            if rest == "id":
                return group.id
            if rest == "name":
                return group.name
            if rest.startswith("metadata."):
                return group.metadata.get(rest.removeprefix("metadata."))
        return None

    def _load(self, prefix: str, kind: type[_Record]) -> dict[str, _Record]:
        loaded = {}
        for key in self._storage.keys(prefix):
            stored = self._storage.get(prefix + key)
            if stored is not None:
                loaded[key] = kind(**stored)
        return loaded


def _alias_value(words: list[str], alias: Alias) -> str | None:
    match words:
        case ["id"]:
            return alias.id
        case ["name"]:
            return alias.name
        case ["metadata", *key] if key:
            return alias.metadata.get(".".join(key))
        case ["custom_metadata", *key] if key:
            return alias.custom_metadata.get(".".join(key))
    return None


def _named(records: Iterable[_Record], namespace: str, name: str) -> _Record | None:
    for record in list(records):
        if record.namespace == namespace and record.name.lower() == name.lower():
            return record
    return None
