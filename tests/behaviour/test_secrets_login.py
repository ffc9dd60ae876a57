# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What a task logs in with, and the token that it gets for that, are not shown, whatever a server repeats."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils import vault_auth
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_auth import AUTH_METHODS

from .harness import Result
from .lookups import look_up
from .secrets_planted import ECHO, SECRET_LOGIN_OPTIONS, found_in
from .stage import Stage

Options = dict[str, Any]
ENGINE = "^extca-faults/"


def _new(kind: str) -> str:
    return f"planted-{kind}-{secrets.token_hex(12)}"


def _file_of(secret: str, directory: Path) -> str:
    path = directory / "secret"
    path.write_text(secret + "\n")
    return str(path)


# Options of a login that hold this secret, by the auth method (and how it is used).
WAYS: Mapping[str, Callable[[str, Path], Options]] = {
    "token": lambda secret, _directory: {"token": secret},
    "token, in a file": lambda secret, directory: {
        "token": None,
        "token_path": str(directory),
        "token_file": Path(_file_of(secret, directory)).name,
    },
    "approle": lambda secret, _directory: {"role_id": "web", "secret_id": secret},
    "approle, wrapped": lambda secret, _directory: {"role_id": "web", "wrapped_secret_id": secret},
    "userpass": lambda secret, _directory: {"username": "anna", "password": secret},
    "ldap": lambda secret, _directory: {"username": "anna", "password": secret},
    "jwt": lambda secret, _directory: {"role_id": "web", "jwt": secret},
    "kubernetes": lambda secret, _directory: {"role_id": "web", "jwt": secret},
    "kubernetes, in a file": lambda secret, directory: {
        "role_id": "web",
        "kubernetes_token_path": _file_of(secret, directory),
    },
    "aws_iam": lambda secret, _directory: {"aws_access_key": "AKIDEXAMPLE", "aws_secret_key": secret},
    "aws_iam, for a while": lambda secret, _directory: {
        "aws_access_key": "AKIDEXAMPLE",
        "aws_secret_key": "x" * 20,
        "aws_security_token": secret,
    },
    "azure": lambda secret, _directory: {"role_id": "web", "jwt": secret},
    "azure, by a client": lambda secret, _directory: {
        "role_id": "web",
        "azure_tenant_id": "tenant",
        "azure_client_id": "client",
        "azure_client_secret": secret,
    },
    "gcp": lambda secret, _directory: {"role_id": "web", "jwt": secret},
}


def _module(stage: Stage, options: Options) -> Result:
    return stage.run("role_info", {"name": "web", **options})


def _lookup(stage: Stage, options: Options) -> Result:
    return look_up(stage, {"role_name": "web", **options}, stage.known)


def _says(status: int, *texts: str) -> Options:
    return {"kind": "status", "status": status, "body": {"errors": [f"{ECHO} {text}" for text in texts]}}


def _gives(**auth: Any) -> Options:
    return {"kind": "status", "status": 200, "body": auth}


def _hidden(result: Result, planted: Mapping[str, str], *, echoes: bool) -> None:
    text = json.dumps(result)
    assert "Traceback" not in text
    if echoes:
        assert result["failed"], result
        assert ECHO in result["msg"], "the server was not asked"
    assert found_in(text, planted) == [], text


@pytest.mark.parametrize("run", [_module, _lookup], ids=["module", "lookup"])
@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_repeats_a_login_betrays_nothing(
    run: Callable[[Stage, Options], Result], way: str, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = way.partition(",")[0]
    planted = {"secret": _new("login"), "unwrapped": _new("unwrapped"), "token": _new("token"), "azure": _new("azure")}
    # A cloud that nobody can reach from here gives a token of its own.
    monkeypatch.setattr(vault_auth, "_azure_token", lambda _options: planted["azure"])
    options = {"token": None, **WAYS[way](planted["secret"], tmp_path), "auth_method": method}
    if method == "token":
        with stage.bench.faults({**_says(500, planted["secret"]), "path": ENGINE}):
            _hidden(run(stage, options), {"secret": planted["secret"]}, echoes=True)
        return

    known = {name: planted[name] for name in _known(way)}
    repeated = " ".join(known.values())
    for status in (400, 500):
        if way == "approle, wrapped":
            unwrapping = _gives(data={"secret_id": planted["unwrapped"]})
            with stage.bench.faults({**_says(status, planted["secret"]), "path": "^sys/wrapping/unwrap$"}):
                # What was unwrapped nobody knows then.
                _hidden(run(stage, options), {"secret": planted["secret"]}, echoes=status == 500)
        else:
            unwrapping = _gives()
        faults = ({**unwrapping, "path": "^sys/wrapping/unwrap$"}, {**_says(status, repeated), "path": "^auth/"})
        with stage.bench.faults(*faults):
            _hidden(run(stage, options), known, echoes=True)

    # The login succeeds, and what comes after it does not.
    known["token"] = planted["token"]
    token = _gives(auth={"client_token": planted["token"], "token_type": "service"})
    later = _says(500, " ".join(known.values()))
    after = (
        {**unwrapping, "path": "^sys/wrapping/unwrap$"},
        {**token, "path": "^auth/.*login"},
        {**later, "path": f"{ENGINE}|revoke-self$"},
    )
    with stage.bench.faults(*after):
        result = run(stage, options)
    _hidden(result, known, echoes=True)
    assert any("could not be revoked" in str(one) and ECHO in str(one) for one in result.get("warnings", ())), result


def _known(way: str) -> tuple[str, ...]:
    """What a server has been told of the secrets, once the login was sent."""
    if way == "approle, wrapped":
        return "secret", "unwrapped"
    if way == "azure, by a client":
        return "secret", "azure"
    return ("secret",)


def test_every_way_to_log_in_and_every_secret_of_a_login_is_tried() -> None:
    tried = {name for make in WAYS.values() for name in make("x", Path("/tmp"))}
    assert tried >= SECRET_LOGIN_OPTIONS
    # A certificate's key stays in its file, and none has nothing to hide.
    assert {way.partition(",")[0] for way in WAYS} == set(AUTH_METHODS) - {"cert", "none"}


@pytest.mark.parametrize("form", ["{}", '{{"http": "{}"}}'])
def test_the_password_of_a_proxy_is_hidden(form: str, stage: Stage) -> None:
    password = _new("proxy")
    url = stage.vault.url.replace("http://", f"http://anna:{password}@")
    with stage.bench.faults({**_says(500, password), "path": ""}):
        result = stage.run("role_info", {"name": "web", "proxies": form.format(url), "timeout": 2})
    assert result["failed"]
    assert "invocation" in result, "nothing would be seen"
    assert found_in(json.dumps(result), {"proxy": password}) == [], result


@pytest.mark.parametrize("asks", ["module", "lookup"])
def test_the_words_of_an_order_that_failed_betray_nothing(asks: str, stage: Stage) -> None:
    planted = {"token": stage.token(ttl="1h")}
    with stage.bench.scripts({"fail": f"{ECHO} {planted['token']}", "in": "submitted"}):
        options = {"role_name": "web", "order_id": stage.engine.order(), "token": planted["token"]}
        stage.engine.wait(options["order_id"], "error")
    result = stage.run("order_certificate", options) if asks == "module" else look_up(stage, options)
    _hidden(result, planted, echoes=True)
