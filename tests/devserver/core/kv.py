# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""A small key-value backend, to test the core with something mounted."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from devserver.framework import Field, Kind, MountContext, Operation, Path, Refusal, Request, Response, invalid


class KeyValue:
    """``data/<key>`` stores typed fields; ``slow`` blocks, ``broken`` has a bug, ``script/<id>`` shows a script."""

    type = "kv"

    def __init__(self, context: MountContext) -> None:
        self._context = context
        self.started = 0
        fields = {
            "key": Field(),
            "text": Field(),
            "number": Field(Kind.INT),
            "flag": Field(Kind.BOOL),
            "items": Field(Kind.LIST),
            "wait": Field(Kind.DURATION),
            "colour": Field(default="red", allowed=("red", "green")),
        }
        self.paths: Sequence[Path] = [
            Path("data", {Operation.LIST: self._list}),
            Path(
                "data/(?P<key>.+)",
                {Operation.READ: self._read, Operation.UPDATE: self._write, Operation.DELETE: self._delete},
                fields,
                exists=lambda request: context.storage.get(request.data["key"]) is not None,
            ),
            Path("slow", {Operation.READ: self._slow}, blocking=frozenset({Operation.READ})),
            Path("broken", {Operation.READ: self._broken}),
            Path("teapot", {Operation.READ: self._teapot}),
            Path("answer/(?P<question>.+)", {Operation.READ: self._answer}),
            Path("script/(?P<role>[^/]+)/(?P<order>[^/]+)", {Operation.READ: self._script}),
            Path("render", {Operation.UPDATE: self._render}, {"text": Field()}),
            Path("secret", {Operation.READ: self._list}, sudo=True),
            Path("public", {Operation.READ: self._public}, unauthenticated=True),
            Path("mount-data", {Operation.READ: self._nothing}),
        ]

    def start(self) -> None:
        self.started += 1

    def stop(self) -> None:
        self.started -= 1

    def _list(self, request: Request) -> Response:
        return Response({"keys": self._context.storage.keys("")})

    def _read(self, request: Request) -> Response | None:
        stored = self._context.storage.get(request.get("key"))
        return None if stored is None else Response(stored)

    def _write(self, request: Request) -> Response:
        data = {**request.data, "operation": request.operation.value}
        self._context.storage.put(request.get("key"), data)
        return Response(data)

    def _delete(self, request: Request) -> None:
        self._context.storage.delete(request.get("key"))

    def _slow(self, request: Request) -> Response:
        time.sleep(0.5)
        return Response({"thread": threading.current_thread().name})

    def _broken(self, request: Request) -> Response:
        raise RuntimeError("a bug with a secret in its text")

    def _teapot(self, request: Request) -> Response:
        raise Refusal(418, "short", "stout", data={"success": False})

    def _answer(self, request: Request) -> Response:
        return Response({"answer": self._context.answer(request.data["question"])})

    def _script(self, request: Request) -> Response:
        return Response({"script": dict(self._context.script(request.data["order"], request.data["role"]))})

    def _render(self, request: Request) -> Response:
        rendered = self._context.templates.render(request.get("text"), request.entity_id)
        if rendered is None:
            raise invalid("a template has no value")
        return Response({"rendered": rendered, "entity_id": request.entity_id})

    def _public(self, request: Request) -> Response:
        return Response({"certificates": len(request.client_certificates)})

    def _nothing(self, request: Request) -> Response:
        return Response(None, status=200)
