# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Each module does its work under its least policy, and says what it lacks under any smaller one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from .endpoints import capability_of, template_of
from .harness import Bench, Engine, Played
from .rights import FAILS, GOES_ON, RIGHTS, WARNS, modules, needed, policy
from .uses import USES, Place


def test_no_module_is_forgotten() -> None:
    assert sorted(RIGHTS) == modules()
    assert sorted(USES) == modules()


def _policy(module: str, engine: Engine, *, without: tuple[str, str] | None = None) -> str:
    return policy(module, engine.mount, without=without, types=("rfc2136", "aws-route53"))


def _run(place: Place, module: str, use: str, token: str) -> dict[str, Any]:
    made = USES[module][use](place)
    place.engine.bench.forget_requests()
    return place.engine.run(module, {**made.options, "token": token}, check=made.check, fails=None)


def _asked(bench: Bench, mount: str) -> set[tuple[str, str]]:
    """(template, capability) of the requests made for the module; a POST counts as update."""
    requests = [one for one in bench.requests_made() if one.path != "sys/capabilities-self"]
    return {(template_of(one.path, mount), capability_of(one.method)) for one in requests}


@pytest.mark.parametrize("module", RIGHTS)
def test_the_least_policy_is_enough_and_nothing_in_it_is_idle(place: Place, module: str) -> None:
    engine = place.engine
    token = engine.bench.token_with(_policy(module, engine))
    asked = set()
    for use in USES[module]:
        result = _run(place, module, use, token)
        assert not result.get("failed"), f"{use}: {result['msg']}"
        assert not result.get("warnings"), f"{use}: {result['warnings']}"
        asked |= _asked(engine.bench, engine.mount)
        engine.renew()
    permitted = {
        (path, "update" if capability == "create" else capability) for path, capability, _what in needed(module)
    }
    assert asked == permitted


@pytest.mark.parametrize(
    ("module", "path", "capability", "what"),
    [(module, *right) for module in RIGHTS for right in needed(module)],
)
def test_a_missing_capability_is_named(place: Place, module: str, path: str, capability: str, what: str) -> None:
    engine = place.engine
    token = engine.bench.token_with(_policy(module, engine, without=(path, capability)))
    told = []
    for use in USES[module]:
        result = _run(place, module, use, token)
        refused = [one.path for one in engine.bench.requests_made() if one.status == 403]
        if refused:
            assert template_of(refused[0], engine.mount) == path
            told.append((use, refused[0], result))
        else:
            assert not result.get("failed"), f"{use}: {result['msg']}"
        engine.renew()
    assert told, f"no use of {module} asks for {capability} on {path}"
    outcomes = [_outcome(refused_path, capability, result) for _use, refused_path, result in told]
    assert "unexplained failure" not in outcomes, told
    if what == FAILS:
        assert FAILS in outcomes
    else:
        assert what in outcomes, told


def _outcome(path: str, capability: str, result: dict[str, Any]) -> str:
    """What became of a task that was refused a capability on a path."""
    if result.get("failed"):
        lacks, permit = f"On {path} the token has", f"not read {path}. Permit {capability} there"
        named = (lacks in result["msg"] and f"lacks {capability}" in result["msg"]) or permit in result["msg"]
        return FAILS if named else "unexplained failure"
    return WARNS if any(path in str(warning) for warning in result.get("warnings", ())) else GOES_ON


def test_a_refusal_in_a_namespace_names_the_path_as_its_policy_would(bench: Bench) -> None:
    bench.api("POST", "sys/namespaces/team")
    engine = Engine(bench, "rights", namespace="team")
    bench.api("POST", "sys/mounts/rights", {"type": "pki-external-ca"}, namespace="team")
    engine.furnish()
    token = bench.token_with(policy("role", "rights", without=("/{mount}/role/{name}", "update")), namespace="team")
    options = {"name": "web", "acme_account_name": "main", "allowed_challenge_types": ["dns-01"], "token": token}
    message = engine.run("role", options, fails=True)["msg"]
    assert message.endswith("On rights/role/web the token has create, delete, read there, and lacks update.")
    bench.api("DELETE", "sys/mounts/rights", namespace="team")
    bench.api("DELETE", "sys/namespaces/team")


def test_a_token_that_may_not_ask_what_it_lacks_gets_a_message_all_the_same(engine: Engine) -> None:
    token = engine.bench.token_with('path "sys/capabilities-self" { capabilities = ["deny"] }')
    message = engine.run("role_info", {"name": "web", "token": token}, fails=True)["msg"]
    assert f"GET /v1/{engine.mount}/role/web" in message
    assert message.endswith("Check the token and its policies.")


def test_a_playbook_shows_what_is_missing(engine: Engine, run_playbook: Callable[..., Played]) -> None:
    token = engine.bench.token_with(_policy("role_info", engine, without=("/{mount}/role", "list")))
    task = {"name": "List roles", "certops.vault_extca.vault_extca_role_info": {"mount": engine.mount}}
    text = json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}])
    played = run_playbook(text, environment={"VAULT_TOKEN": token})
    assert played.status == 2
    assert f"On {engine.mount}/role the token has read there, and lacks list." in played.output
