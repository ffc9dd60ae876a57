# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``identity/``: entities, aliases and groups by id and by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .framework import Field, Kind, Operation, Path, Request, Response, invalid, not_found
from .identity import Alias, Entity, Group
from .mounts import Mount, Namespace
from .tokens import string_map, timestamp

if TYPE_CHECKING:
    from .vault import Vault

_ID, _NAME = "(?P<id>[^/]+)", "(?P<name>.+)"
_ENTITY_FIELDS = {
    "id": Field(),
    "name": Field(),
    "metadata": Field(Kind.MAP),
    "policies": Field(Kind.LIST),
    "disabled": Field(Kind.BOOL),
}
_GROUP_FIELDS = {
    "id": Field(),
    "name": Field(),
    "type": Field(default="internal", allowed=("", "internal")),
    "metadata": Field(Kind.MAP),
    "policies": Field(Kind.LIST),
    "member_entity_ids": Field(Kind.LIST),
    "member_group_ids": Field(Kind.LIST),
}
_ALIAS_FIELDS = {
    "id": Field(),
    "name": Field(),
    "canonical_id": Field(),
    "entity_id": Field(),
    "mount_accessor": Field(),
    "custom_metadata": Field(Kind.MAP),
}
_LOOKUP_FIELDS = {
    "id": Field(),
    "name": Field(),
    "alias_id": Field(),
    "alias_name": Field(),
    "alias_mount_accessor": Field(),
}


class IdentityBackend:
    """A namespace's ``identity/``."""

    type = "identity"

    def __init__(self, vault: Vault, namespace: Namespace) -> None:
        self._vault = vault
        self._store = vault.identity
        self._namespace = namespace
        read, update, delete, list_ = Operation.READ, Operation.UPDATE, Operation.DELETE, Operation.LIST
        entity = {read: self._read_entity, update: self._write_entity, delete: self._delete_entity}
        group = {read: self._read_group, update: self._write_group, delete: self._delete_group}
        alias = {read: self._read_alias, update: self._write_alias, delete: self._delete_alias}
        self.paths: Sequence[Path] = [
            Path("entity", {update: self._write_entity}, _ENTITY_FIELDS),
            Path("entity/id", {list_: self._list_entity_ids}),
            Path("entity/name", {list_: self._list_entity_names}),
            Path(f"entity/id/{_ID}", entity, _ENTITY_FIELDS),
            Path(f"entity/name/{_NAME}", entity, _ENTITY_FIELDS),
            Path("entity-alias", {update: self._write_alias}, _ALIAS_FIELDS),
            Path("entity-alias/id", {list_: self._list_aliases}),
            Path(f"entity-alias/id/{_ID}", alias, _ALIAS_FIELDS),
            Path("group", {update: self._write_group}, _GROUP_FIELDS),
            Path("group/id", {list_: self._list_group_ids}),
            Path("group/name", {list_: self._list_group_names}),
            Path(f"group/id/{_ID}", group, _GROUP_FIELDS),
            Path(f"group/name/{_NAME}", group, _GROUP_FIELDS),
            Path("lookup/entity", {update: self._lookup_entity}, _LOOKUP_FIELDS),
            Path("lookup/group", {update: self._lookup_group}, _LOOKUP_FIELDS),
        ]

    def start(self) -> None:
        """Nothing runs in the background."""

    def stop(self) -> None:
        """Nothing runs in the background."""

    # ------------------------------------------------------------------ entities

    def _entity(self, request: Request) -> Entity | None:
        if request.get("id"):
            entity = self._store.entity(request.get("id"))
            return entity if entity is not None and entity.namespace == self._namespace.path else None
        return self._store.entity_named(self._namespace.path, request.get("name")) if request.get("name") else None

    def _entities(self) -> list[Entity]:
        return [entity for entity in self._store.entities.values() if entity.namespace == self._namespace.path]

    def _write_entity(self, request: Request) -> Response | None:
        entity = self._entity(request)
        if entity is None and request.get("id"):
            raise invalid("entity not found from id")
        created = entity is None
        if entity is None:
            entity = self._store.new_entity(self._namespace.path, request.get("name"))
        name = request.get("name")
        holder = self._store.entity_named(self._namespace.path, name) if name else None
        if holder is not None and holder is not entity:
            raise invalid(f"entity name {name!r} is already in use")
        entity.name = name or entity.name
        if request.has("metadata"):
            entity.metadata = string_map(request.get("metadata"))
        if request.has("policies"):
            entity.policies = _policies(request)
        if request.has("disabled"):
            entity.disabled = request.get("disabled")
        self._store.save(entity)
        if created:
            return Response({"aliases": None, "id": entity.id, "name": entity.name})
        return None

    def _read_entity(self, request: Request) -> Response:
        entity = self._entity(request)
        if entity is None:
            raise not_found()
        return Response(self._shown_entity(entity))

    def _delete_entity(self, request: Request) -> None:
        entity = self._entity(request)
        if entity is not None:
            self._store.delete_entity(entity.id)

    def _list_entity_ids(self, request: Request) -> Response:
        info = {entity.id: {"name": entity.name, "aliases": self._aliases(entity)} for entity in self._entities()}
        return Response({"keys": sorted(info), "key_info": info})

    def _list_entity_names(self, request: Request) -> Response:
        return Response({"keys": sorted(entity.name for entity in self._entities())})

    def _lookup_entity(self, request: Request) -> Response:
        entity = self._entity(request)
        if entity is None and request.get("alias_id"):
            alias = self._store.aliases.get(request.get("alias_id"))
            entity = self._store.entity(alias.entity_id) if alias is not None else None
        if entity is None and request.get("alias_name"):
            alias = self._store.alias_at(request.get("alias_mount_accessor"), request.get("alias_name"))
            entity = self._store.entity(alias.entity_id) if alias is not None else None
        return Response(self._shown_entity(entity)) if entity is not None else Response()

    def _aliases(self, entity: Entity) -> list[dict[str, Any]]:
        return [_shown_alias(alias) for alias in self._store.aliases_of(entity.id)]

    def _shown_entity(self, entity: Entity) -> dict[str, Any]:
        groups = self._store.groups_of(entity.id)
        direct = [group.id for group in groups if entity.id in group.member_entity_ids]
        return {
            "aliases": self._aliases(entity),
            "creation_time": timestamp(entity.created),
            "direct_group_ids": direct,
            "disabled": entity.disabled,
            "group_ids": [group.id for group in groups],
            "id": entity.id,
            "inherited_group_ids": [group.id for group in groups if group.id not in direct],
            "last_update_time": timestamp(entity.updated),
            "merged_entity_ids": None,
            "metadata": entity.metadata or None,
            "name": entity.name,
            "namespace_id": self._namespace.id,
            "policies": entity.policies,
        }

    # ------------------------------------------------------------------ aliases

    def _write_alias(self, request: Request) -> Response:
        alias = self._store.aliases.get(request.get("id")) if request.get("id") else None
        if request.get("id") and alias is None:
            raise invalid("invalid alias ID")
        entity_id = request.get("canonical_id") or request.get("entity_id") or (alias.entity_id if alias else "")
        if alias is None:
            name, accessor = request.get("name"), request.get("mount_accessor")
            if not name or not accessor:
                raise invalid("missing alias name" if not name else "missing mount_accessor")
            mount = self._mount(accessor)
            if mount is None:
                raise invalid(f"invalid mount accessor {accessor!r}")
            alias = self._store.alias_at(accessor, name)
            if alias is None:
                alias = self._store.new_alias(self._namespace.path, name, accessor, entity_id)
            alias.mount_path, alias.mount_type = mount.entry.route, mount.entry.type
        elif request.get("name"):
            alias.name = request.get("name")
        if not entity_id:
            entity = self._store.new_entity(self._namespace.path)
            self._store.save(entity)
            entity_id = entity.id
        if self._store.entity(entity_id) is None:
            raise invalid(f"invalid canonical ID {entity_id!r}")
        alias.entity_id = entity_id
        if request.has("custom_metadata"):
            alias.custom_metadata = string_map(request.get("custom_metadata"))
        self._store.save(alias)
        return Response({"canonical_id": alias.entity_id, "id": alias.id})

    def _read_alias(self, request: Request) -> Response:
        alias = self._store.aliases.get(request.get("id"))
        if alias is None or alias.namespace != self._namespace.path:
            raise not_found()
        return Response(_shown_alias(alias))

    def _delete_alias(self, request: Request) -> None:
        self._store.delete_alias(request.get("id"))

    def _list_aliases(self, request: Request) -> Response:
        mine = [alias for alias in self._store.aliases.values() if alias.namespace == self._namespace.path]
        return Response({"keys": sorted(alias.id for alias in mine), "key_info": {a.id: _shown_alias(a) for a in mine}})

    def _mount(self, accessor: str) -> Mount | None:
        for mount in self._namespace.mounts.values():
            if mount.entry.is_auth and mount.entry.accessor == accessor:
                return mount
        return None

    # ------------------------------------------------------------------ groups

    def _group(self, request: Request) -> Group | None:
        if request.get("id"):
            group = self._store.groups.get(request.get("id"))
            return group if group is not None and group.namespace == self._namespace.path else None
        return self._store.group_named(self._namespace.path, request.get("name")) if request.get("name") else None

    def _groups(self) -> list[Group]:
        return [group for group in self._store.groups.values() if group.namespace == self._namespace.path]

    def _write_group(self, request: Request) -> Response | None:
        group = self._group(request)
        if group is None and request.get("id"):
            raise invalid("group not found from id")
        created = group is None
        if group is None:
            group = self._store.new_group(self._namespace.path, request.get("name"))
        for member in request.get("member_entity_ids"):
            if self._store.entity(member) is None:
                raise invalid(f"entity ID {member!r} does not exist")
        for member in request.get("member_group_ids"):
            if member not in self._store.groups or member == group.id:
                raise invalid(f"group ID {member!r} does not exist, or is the group itself")
        group.name = request.get("name") or group.name
        if request.has("metadata"):
            group.metadata = string_map(request.get("metadata"))
        if request.has("policies"):
            group.policies = _policies(request)
        if request.has("member_entity_ids"):
            group.member_entity_ids = request.get("member_entity_ids")
        if request.has("member_group_ids"):
            group.member_group_ids = request.get("member_group_ids")
        self._store.save(group)
        return Response({"id": group.id, "name": group.name}) if created else None

    def _read_group(self, request: Request) -> Response:
        group = self._group(request)
        if group is None:
            raise not_found()
        return Response(self._shown_group(group))

    def _delete_group(self, request: Request) -> None:
        group = self._group(request)
        if group is not None:
            self._store.delete_group(group.id)

    def _list_group_ids(self, request: Request) -> Response:
        info = {
            group.id: {"name": group.name, "num_member_entities": len(group.member_entity_ids)}
            for group in self._groups()
        }
        return Response({"keys": sorted(info), "key_info": info})

    def _list_group_names(self, request: Request) -> Response:
        return Response({"keys": sorted(group.name for group in self._groups())})

    def _lookup_group(self, request: Request) -> Response:
        group = self._group(request)
        return Response(self._shown_group(group)) if group is not None else Response()

    def _shown_group(self, group: Group) -> dict[str, Any]:
        parents = [one.id for one in self._store.groups.values() if group.id in one.member_group_ids]
        return {
            "alias": {},
            "creation_time": timestamp(group.created),
            "id": group.id,
            "last_update_time": timestamp(group.updated),
            "member_entity_ids": group.member_entity_ids,
            "member_group_ids": group.member_group_ids,
            "metadata": group.metadata or None,
            "modify_index": 1,
            "name": group.name,
            "namespace_id": self._namespace.id,
            "parent_group_ids": parents or None,
            "policies": group.policies,
            "type": "internal",
        }


def _policies(request: Request) -> list[str]:
    names = sorted({name.lower() for name in request.get("policies")})
    if "root" in names:
        raise invalid("policies cannot contain root")
    return names


def _shown_alias(alias: Alias) -> dict[str, Any]:
    return {
        "canonical_id": alias.entity_id,
        "creation_time": timestamp(alias.created),
        "custom_metadata": alias.custom_metadata or None,
        "id": alias.id,
        "last_update_time": timestamp(alias.updated),
        "local": False,
        "merged_from_canonical_ids": None,
        "metadata": alias.metadata or None,
        "mount_accessor": alias.mount_accessor,
        "mount_path": alias.mount_path,
        "mount_type": alias.mount_type,
        "name": alias.name,
    }
