# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Secrets are found where they were asked for, and nowhere else."""

from __future__ import annotations

import importlib
import json
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils import basic
from ansible_collections.certops.vault_extca.plugins.module_utils import vault_connection

from tests.tools.tree import REPOSITORY
from tests.unit.running import MODULES

from .harness import Played, Result
from .scenarios import PREFIX, asks_vault, job, modules, run, specification
from .secrets_planted import (
    ECHO,
    KEY_AUTHORIZATION,
    NO_SECRETS,
    NOT_TOLD_TO_VAULT,
    SECRET_LOGIN_OPTIONS,
    SECRET_OPTIONS,
    SOUNDS_SECRET,
    Planted,
    every_option,
    found_in,
    marks,
    plant,
    secret_options,
    watching,
    witness,
)
from .stage import Stage, skipping

DOCUMENT = REPOSITORY / "docs" / "secrets.md"
# Return values that are private keys, for those who ask for them: a test below holds their documentation to that.
SECRET_RETURNS = ("private_key",)
# Where a challenge is asked for, all of it is told.
TOLD_OF_CHALLENGES = {"order_challenge_info": ("key_authorization", "content")}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _leaves(one, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one, f"{path}[]")
    else:
        yield path, str(value)


def _returns(module: str) -> dict[str, str]:
    """The descriptions of a module's return values by name, those inside of others among them."""

    def described(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
        for name, one in values.items():
            yield name, str(one["description"])
            yield from described(one.get("contains") or {})

    return dict(described(yaml.safe_load(importlib.import_module(f"{MODULES}.{PREFIX}{module}").RETURN)))


def _echo(planted: dict[str, str], path: str = "") -> dict[str, Any]:
    """What a server answers that repeats all that it was told, as some proxies do."""
    told = [marks(secret)[0] for name, secret in planted.items() if name not in NOT_TOLD_TO_VAULT]
    return {"kind": "status", "status": 500, "path": path, "body": {"errors": [f"{ECHO} " + " ".join(told)]}}


WAYS: dict[str, dict[str, Any]] = {
    "done": {},
    "check": {"check": True},
    "diff": {"diff": True},
    "check and diff": {"check": True, "diff": True},
}


@pytest.mark.parametrize("module", modules())
def test_nothing_is_betrayed_by_a_module(module: str, stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    returned: set[str] = set()
    for way, modes in WAYS.items():
        for one in plant(module, stage):
            with watching() as seen, skipping(stage):
                result = run(module, stage, one.options, **modes)
            assert not (one.works and result.get("failed")), f"{way}: {result.get('msg')}"
            others = seen.text() + str(capfd.readouterr())
            returned |= _betrayals(module, way, result, one.secrets, others, stage)
    documented = _returns(module)
    for name in returned:
        text = documented[name.split(".")[-1]]
        assert "secret" in text, f"{module} returns {name}, and its documentation does not call it a secret"
        assert "no_log=true" in text, f"{module} returns {name}, and its documentation does not advise no_log"


def _exposed(spec: Mapping[str, Any], option: str) -> dict[str, Any]:
    """A spec that forgets that an option is a secret."""
    outer, _dot, inner = option.partition(".")
    said = dict(spec[outer])
    said |= {"options": _exposed(said["options"], inner)} if inner else {"no_log": False}
    return {**spec, outer: said}


# A token that is used is hidden anyhow, wherever it came from.
@pytest.mark.parametrize("option", sorted(SECRET_OPTIONS - {"token"}))
def test_a_secret_option_that_is_not_hidden_is_found(
    option: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = next(one for one in modules() if option in secret_options(specification(one)))
    planted = next(one for one in plant(module, stage) if option in one.secrets)
    begin = basic.AnsibleModule.__init__

    def careless(self: Any, argument_spec: dict[str, Any], **rest: Any) -> None:
        begin(self, argument_spec=_exposed(argument_spec, option), **rest)

    with skipping(stage):
        assert option not in found_in(json.dumps(run(module, stage, planted.options, check=True)), planted.secrets)
        monkeypatch.setattr(basic.AnsibleModule, "__init__", careless)
        assert option in found_in(json.dumps(run(module, stage, planted.options, check=True)), planted.secrets)


@pytest.mark.parametrize("module", modules())
def test_nothing_is_betrayed_by_a_failure(module: str, stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    for one in plant(module, stage):
        _fail(module, stage, one, capfd)


def _fail(module: str, stage: Stage, one: Planted, capfd: pytest.CaptureFixture[str]) -> None:
    options, planted = one.options, one.secrets
    bad_type = {**options, "timeout" if asks_vault(module) else "wait_timeout": "no number"}
    # What lasts is not waited for longer than it takes to see that.
    impatient = {name: 60 if name == "wait_timeout" else value for name, value in options.items()}
    ways = {"echo": (impatient, ""), "bad option": (bad_type, "")}
    if module == "certificate" and KEY_AUTHORIZATION in planted:
        ways["echo when the challenge is in its place"] = (options, "/fulfilled-challenge$")
    for way, (given, path) in ways.items():
        with stage.bench.faults(_echo(planted, path)), watching() as seen, skipping(stage):
            result = run(module, stage, given, diff=True)
        if way == "bad option" or asks_vault(module):
            assert result["failed"], f"{way}: {result}"
        if way != "bad option" and asks_vault(module):
            assert ECHO in result["msg"]
        others = seen.text() + str(capfd.readouterr())
        assert found_in(json.dumps(result) + others, planted) == [], f"{way}: {result}"


def _betrayals(module: str, way: str, result: Result, planted: dict[str, str], others: str, stage: Stage) -> set[str]:
    """The return values that are secrets. Nothing else may betray one."""
    issued = {f"{one['serial_number']}'s key": one["private_key"] for one in _issued(result, stage)}
    known = {**planted, "the known order's key": stage.engine.fetch(stage.known_order)["private_key"], **issued}
    assert found_in(others, known) == [], f"{way}: processes or logs betray it"
    assert found_in(str(result.get("diff")), known) == [], f"{way}: the diff betrays it"
    returned = set()
    for path, text in _leaves(result):
        if found_in(text, known):
            name = path.split(".")[-1]
            allowed = (*SECRET_RETURNS, *TOLD_OF_CHALLENGES.get(module, ()))
            assert name in allowed, f"{way}: {module} returns a secret as {path}"
            if name != "content" and not path.startswith("ansible_facts."):
                returned.add(path)
    if module == "certificate_info":
        assert not returned, "the key comes without being asked for"
    return returned


def _issued(result: Result, stage: Stage) -> Iterator[dict[str, Any]]:
    order_id = result.get("order_id")
    if order_id and result.get("order_status") == "completed":
        yield stage.engine.fetch(order_id)


def test_facts_hold_the_key_only_if_all_are_wanted(stage: Stage) -> None:
    order = {"role_name": "web", "order_id": stage.known_order}
    key = {"key": stage.engine.fetch(stage.known_order)["private_key"]}
    facts = {
        which: json.dumps(stage.run("order_certificate", {**order, "facts": which}).get("ansible_facts", {}))
        for which in ("all", "public", "none")
    }
    assert [which for which, text in facts.items() if found_in(text, key)] == ["all"]


def test_a_key_in_a_file_is_not_returned(stage: Stage) -> None:
    options = job("certificate", stage).options
    result = stage.run("certificate", options)
    key = Path(options["destination"]["private_key"])
    assert found_in(json.dumps(result), {"key": key.read_text()}) == []
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_login_secrets_and_the_token_of_a_login_are_hidden(stage: Stage) -> None:
    bench = stage.bench
    bench.api("POST", "sys/auth/approle-secrets", {"type": "approle"})
    bench.api("POST", "sys/policies/acl/all", {"policy": 'path "*" { capabilities = ["read", "list", "update"] }'})
    role = "auth/approle-secrets/role/app"
    bench.api("POST", role, {"token_policies": ["all"]})
    role_id = bench.api("GET", f"{role}/role-id")["data"]["role_id"]
    secret_id = bench.api("POST", f"{role}/secret-id")["data"]["secret_id"]
    login = {"auth_method": "approle", "mount_point": "approle-secrets", "role_id": role_id, "secret_id": secret_id}
    given = {"token": None, **login, "name": "web"}
    result = stage.run("role_info", given)
    assert not result.get("failed"), result
    planted = {"secret_id": secret_id}
    assert found_in(json.dumps(result), planted) == []
    # A server that repeats what it is told: the login passes, and what follows it does not.
    fault = {"kind": "status", "status": 500, "path": f"^{stage.engine.mount}", "body": {"errors": [f"no {secret_id}"]}}
    with stage.bench.faults(fault):
        result = stage.run("role_info", given)
    assert result["failed"]
    assert found_in(json.dumps(result), planted) == []


# ---------------------------------------------------------------------- as real tasks


@pytest.mark.timeout(240)
@pytest.mark.parametrize("keep", [False, True], ids=["", "keep remote files"])
def test_a_playbook_betrays_nothing(
    keep: bool, stage: Stage, tmp_path: Path, run_playbook: Callable[..., Played]
) -> None:
    names = modules() if keep else ["order_certificate", "certificate", "dns_provider"]
    tasks: list[dict[str, Any]] = []
    everything: dict[str, str] = {}
    for module in names:
        # Here every module once, there a few that fail too.
        variants = plant(module, stage)[: 1 if keep else None]
        for number, one in enumerate(variants):
            options = one.options
            if asks_vault(module):
                options = {"mount": stage.engine.mount, **options}
            if "facts" in specification(module):
                options["facts"] = "public"
            everything |= {f"{module} {number} {place}": secret for place, secret in one.secrets.items()}
            # What returns a key is run as its documentation advises.
            hidden = {"no_log": True} if {"private_key", "key_authorization"} & _returns(module).keys() else {}
            task = {f"certops.vault_extca.{PREFIX}{module}": options, "ignore_errors": not one.works}
            tasks.append({"name": module, **hidden, **task})
        if not keep:
            failing = {**variants[0].options, "mount": "nowhere", "timeout": 5}
            task = {f"certops.vault_extca.{PREFIX}{module}": failing, "ignore_errors": True}
            tasks.append({"name": f"{module}, where it fails", **task})
    dump = {"content": "{{ hostvars[inventory_hostname] | to_json }}", "dest": str(tmp_path / "vars.json")}
    tasks.append({"name": "Keep what is known of the host", "ansible.builtin.copy": dump, "diff": False})
    given = tmp_path / "given"
    given.mkdir(mode=0o700)
    (given / "tasks.json").write_text(json.dumps(tasks))
    watched, remote = tmp_path / "watched", tmp_path / "remote"
    watched.mkdir()
    environment = {
        "VAULT_ADDR": stage.vault.url,
        "VAULT_TOKEN": "",
        "ANSIBLE_LOG_PATH": str(tmp_path / "ansible.log"),
        "ANSIBLE_REMOTE_TMP": str(remote),
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
        "ANSIBLE_KEEP_REMOTE_FILES": str(keep),
        "TMPDIR": str(watched),
        **witness(watched),
    }
    include = {"name": "All", "ansible.builtin.include_tasks": str(given / "tasks.json")}
    play = [{"hosts": "localhost", "gather_facts": False, "tasks": [include]}]
    played = run_playbook(json.dumps(play), "-vvvv", "--diff", environment=environment)
    assert played.status == 0, played.output
    everything["key of the known order"] = stage.engine.fetch(stage.known_order)["private_key"]
    known = {"key": everything["key of the known order"]}

    assert found_in(played.output, everything) == []
    assert "module_args" in played.output, "nothing would be seen"
    assert found_in((tmp_path / "ansible.log").read_text(), everything) == []
    witnessed = (watched / "witness.log").read_text()
    assert '"syslog"' in witnessed, "nothing would be seen"
    assert '"subprocess.Popen"' in witnessed, "nothing would be seen"
    assert found_in(witnessed, everything) == []
    assert found_in((tmp_path / "vars.json").read_text(), known) == []
    kept = [path for path in remote.rglob("*") if path.is_file()]
    assert bool(kept) is keep
    for path in [*kept, *watched.rglob("*"), *(tmp_path / "local").rglob("*")]:
        if path.is_file():
            betrayed = found_in(path.read_bytes().decode(errors="replace"), everything)
            # Ansible itself keeps a module together with its arguments, in a directory of the user's own.
            if betrayed and path.name.startswith("AnsiballZ_"):
                assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700, path
                betrayed = [name for name in betrayed if name not in _given(path, everything)]
            assert betrayed == [], path
    assert all("AnsiballZ_" in path.name for path in kept), kept


def _given(path: Path, everything: dict[str, str]) -> list[str]:
    """The secrets that the task whose module this is was given as options."""
    module = re.sub(rf"^AnsiballZ_{PREFIX}|\.py$", "", path.name)
    own = [name for name in everything if name.startswith(f"{module} ")]
    # The key of the known order is an option of this module, and of no other.
    return [*own, "key of the known order"] if module == "certificate_files" else own


# ---------------------------------------------------------------------- the documentation


def test_every_option_that_holds_a_secret_is_hidden_and_no_other() -> None:
    everywhere = {}
    for module in modules():
        for name, said in every_option(specification(module)):
            hidden = bool(said.get("no_log"))
            assert hidden == (name in SECRET_OPTIONS), f"{name} of {module}"
            if SOUNDS_SECRET.search(name):
                # Ansible warns of such a name unless it is told.
                everywhere[name] = module
    assert everywhere.keys() == SECRET_OPTIONS | NO_SECRETS, (
        "an option sounds secret, and nobody has said whether it is"
    )


def test_what_a_connection_conceals_are_the_secrets_of_its_login() -> None:
    assert set(vault_connection._SECRET_OPTIONS) == SECRET_LOGIN_OPTIONS


def test_every_secret_option_is_in_the_document() -> None:
    text = DOCUMENT.read_text()
    for module in modules():
        for place in secret_options(specification(module)):
            assert f"`{place}`" in text, f"docs/secrets.md does not know {place} of {module}"


def test_every_secret_return_value_is_documented_as_one() -> None:
    text = DOCUMENT.read_text()
    for module in modules():
        for name, said in _returns(module).items():
            if name in SECRET_RETURNS:
                assert "secret" in said, f"{module}: {name}"
                assert "no_log=true" in said, f"{module}: {name}"
                assert f"`{PREFIX}{module}`" in text, f"docs/secrets.md does not know that {module} returns {name}"
