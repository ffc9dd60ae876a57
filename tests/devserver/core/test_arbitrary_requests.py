# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Whatever is sent, the core answers as Vault does, and nobody gets more than their policies give."""

from __future__ import annotations

import functools
import json
import logging
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devserver.backends import AUTH_METHODS
from devserver.framework import Operation, Refusal
from devserver.messages import HttpAnswer, HttpRequest, error_answer
from devserver.mounts import MountEntry
from devserver.router import admit, attempt, finish
from devserver.vault import Vault

from .kv import KeyValue

METHODS = st.sampled_from(["GET", "HEAD", "LIST", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "LINK", ""])
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10), st.sampled_from(["kv", "1h"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
HEADERS = st.dictionaries(
    st.sampled_from(["x-vault-namespace", "x-vault-wrap-ttl", "content-type", "authorization"]), st.text(max_size=10)
)
# Values that pass the first checks, so that what comes after them is reached as well.
_METHOD = {Operation.READ: "GET", Operation.LIST: "LIST", Operation.UPDATE: "PUT", Operation.DELETE: "DELETE"}
LIKELY = st.one_of(VALUES, st.sampled_from(["x", "kv", "default", "approle", 60, ["x"], {"a": "b"}]))


def populated() -> tuple[Vault, str]:
    """A Vault with something of everything, and a token that may do nothing there."""
    vault = Vault(root_token="root", backends={"kv": KeyValue})
    vault.create_namespace(vault.namespaces[""], "team", {})
    vault.enable(MountEntry("kv/", "kv", ""))
    for type_ in AUTH_METHODS:
        vault.enable(MountEntry(f"{type_}/", type_, "", is_auth=True))
    weak = vault.tokens.create(namespace="", policies=["default"], path="auth/token/create")
    return vault, weak.id


@functools.cache
def rows() -> list[tuple[str, str, list[str], tuple[str, ...]]]:
    """Every path that anything in it has: where it is mounted, its pattern, its methods, its fields."""
    mounts = populated()[0].namespaces[""].mounts
    found = [
        (route, path.pattern, [_METHOD[operation] for operation in path.handlers], tuple(path.fields))
        for route, mount in mounts.items()
        for path in mount.backend.paths
        if not path.pattern.startswith(("slow", "broken", "answer"))
    ]
    assert len(found) > 80
    return found


@st.composite
def requests(draw: st.DrawFn) -> HttpRequest:
    """A request for one of the paths, or for any path at all; with parameters of it, or any bytes at all."""
    route, pattern, methods, fields = draw(st.sampled_from(rows()))
    names = re.sub(
        r"\(\?P<\w+>[^)]*\)", lambda _: draw(st.sampled_from(["x", "kv", "default", "team", "a/b"])), pattern
    )
    path = draw(st.one_of(st.just(route + names), st.just(route + names), st.text(max_size=30)))
    sent = st.dictionaries(st.sampled_from((*fields, "none")), LIKELY, max_size=8)
    body = draw(st.one_of(sent.map(lambda given: json.dumps(given).encode()), st.binary(max_size=40)))
    # Mostly what the path expects: whatever is wrong early hides what comes later.
    method = draw(st.sampled_from([*methods * 3, draw(METHODS)]))
    headers = draw(st.one_of(st.just({}), st.just({}), HEADERS))
    query = draw(st.one_of(st.just(""), st.just(""), st.text(max_size=20)))
    return HttpRequest(method, path, query, headers, body)


def ask(vault: Vault, token: str, request: HttpRequest) -> HttpAnswer:
    message = replace(request, headers={**request.headers, "x-vault-token": token})
    try:
        call = admit(vault, message)
        return finish(vault, call, attempt(call))
    except Refusal as refusal:
        return error_answer(refusal)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(requests(), min_size=1, max_size=3))
def test_no_request_is_an_internal_error(caplog: pytest.LogCaptureFixture, sent: list[HttpRequest]) -> None:
    vault, weak = populated()
    for request in sent:
        for token in (weak, "root"):
            caplog.clear()
            with caplog.at_level(logging.ERROR):
                given_answer = ask(vault, token, request)
            assert given_answer.status < 500 or vault.sealed, (given_answer, caplog.text)
            if given_answer.status == 204:
                assert given_answer.body == b""
            else:
                parsed: dict[str, Any] = json.loads(given_answer.body)
                assert given_answer.status < 400 or isinstance(parsed["errors"], list)


@settings(max_examples=100, deadline=None)
@given(requests())
def test_a_token_without_rights_changes_nothing(request: HttpRequest) -> None:
    vault, weak = populated()
    before = json.dumps(vault.snapshot()["namespaces"]), vault.namespaces[""].policies.copy(), vault.identity.version
    ask(vault, weak, request)
    after = json.dumps(vault.snapshot()["namespaces"]), vault.namespaces[""].policies.copy(), vault.identity.version
    assert before == after
    assert vault.tokens.lookup("root") is not None
