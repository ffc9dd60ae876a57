# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The role and the lookup put secrets where they were asked for, and nowhere else, done or failing."""

from __future__ import annotations

import json
import re
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .harness import Played, fresh_name
from .scenarios import PREFIX
from .secrets_planted import ECHO, found_in, witness
from .stage import Stage

LOOKUP = "lookup('certops.vault_extca.certificate', name, role_name=engine_role, mount={mount}, token={token})"
# Modules of the role that are given a secret, and which.
GIVEN = {
    "order": {"token", "refused token"},
    "order_challenge_info": {"token"},
    "order_challenge_fulfilled": {"token"},
    "order_certificate": {"token"},
    "certificate_files": {"key", "other key"},
}


def _role(token: str, folder: Path, *, name: str = "name", mount: str = "mount") -> dict[str, Any]:
    """A task that runs the role, for files in this directory, with the token, name and mount of these variables."""
    destination = {"fullchain": str(folder / "role.pem"), "private_key": str(folder / "role.key")}
    given = {
        "vault": {"token": f"{{{{ {token} }}}}", "timeout": 5},
        "mount": f"{{{{ {mount} }}}}",
        "role_name": "{{ engine_role }}",
        "identifiers": [f"{{{{ {name} }}}}"],
        "destination": destination,
        "webroot": str(folder / "www"),
    }
    variables = {f"certificate_{name}": value for name, value in given.items()}
    return {"ansible.builtin.include_role": {"name": "certops.vault_extca.certificate"}, "vars": variables}


def _copy(value: str, path: Path, **rest: Any) -> dict[str, Any]:
    return {"ansible.builtin.copy": {"content": f"{{{{ {value} }}}}", "dest": str(path), "mode": "0600"}, **rest}


def _failing(what: str, task: dict[str, Any]) -> dict[str, Any]:
    """A task that must fail, and the play goes on."""
    unexpected = {"name": what, "ansible.builtin.fail": {"msg": f"{what}: it did not fail"}}
    rescued = {"name": what, "ansible.builtin.set_fact": {f"failed_{what}": "{{ ansible_failed_result.msg }}"}}
    missed = {**unexpected, "when": f"failed_{what} is not defined"}
    return {"name": what, "block": [{"block": [{"name": what, **task}], "rescue": [rescued]}, missed]}


def _tasks(files: Path, proven: Path, dump: Path) -> list[dict[str, Any]]:
    good = LOOKUP.format(token="good_token", mount="mount")
    refused = LOOKUP.format(token="refused_token", mount="mount")
    repeated = LOOKUP.format(token="good_token", mount="echo")
    return [
        {"name": "The role", **_role("good_token", files)},
        {"name": "The role, with a challenge", **_role("good_token", proven, name="unproven")},
        {"name": "A certificate", **_copy(f"{good}.fullchain", files / "lookup.pem")},
        {"name": "A key", **_copy(f"{good}.private_key", files / "lookup.key", no_log=True, diff=False)},
        _failing("role_refused", _role("refused_token", files / "none")),
        _failing("role_repeated", _role("good_token", files / "none", mount="echo")),
        # This fails when the key has been fetched.
        _failing("role_without_directory", _role("good_token", files / "none")),
        {"name": "Keep what is known", **_copy("hostvars[inventory_hostname] | to_json", dump, diff=False)},
        _failing("lookup_repeated", _copy(f"{repeated}.fullchain", files / "none.pem")),
        _failing("lookup_refused", _copy(f"{refused}.fullchain", files / "none.pem")),
        _failing("lookup_of_nothing", _copy(f"{good}.nothing", files / "none.pem")),
    ]


@pytest.mark.timeout(240)
def test_role_and_lookup_betray_nothing(stage: Stage, tmp_path: Path, run_playbook: Callable[..., Played]) -> None:
    # A name of its own: of the one that all tests know, others order new certificates.
    name = fresh_name()
    key = {"key": stage.engine.fetch(stage.engine.issue(name))["private_key"]}
    tokens = {"token": stage.token(ttl="1h"), "refused token": f"hvs.planted-{secrets.token_hex(12)}"}
    # Pebble does not come to the directory of the role, but finds this order's challenge where it looks.
    unproven = fresh_name()
    order_id = stage.engine.order(unproven)
    stage.engine.wait(order_id, "awaiting-challenge-fulfillment")
    stage.engine.publish(order_id, unproven)
    challenge = f"role/web/order/{order_id}/challenge?identifier={unproven}&challenge_type=http-01"
    proof = {"key authorization": stage.engine.api("GET", challenge)["challenge_auth"]}
    everything = {**key, **tokens, **proof}
    echo = {"errors": [f"{ECHO} {tokens['token']}"]}
    stage.bench.dev("POST", "faults", {"kind": "status", "status": 500, "path": "^echo/", "body": echo})
    folders = {name: tmp_path / name for name in ("files", "proven", "watched", "remote", "local", "given")}
    for folder in folders.values():
        folder.mkdir(mode=0o700)
    files, proven, watched, remote, local, given = folders.values()
    variables = {
        "good_token": tokens["token"],
        "refused_token": tokens["refused token"],
        "name": name,
        "engine_role": stage.engine.role,
        "mount": stage.engine.mount,
        "echo": "echo",
        "unproven": unproven,
    }
    (given / "variables.json").write_text(json.dumps(variables))
    environment = {
        "VAULT_ADDR": stage.vault.url,
        "VAULT_TOKEN": "",
        "ANSIBLE_LOG_PATH": str(tmp_path / "ansible.log"),
        "ANSIBLE_REMOTE_TMP": str(remote),
        "ANSIBLE_LOCAL_TEMP": str(local),
        "ANSIBLE_KEEP_REMOTE_FILES": "true",
        "TMPDIR": str(watched),
        **witness(watched),
    }
    play = [{"hosts": "localhost", "gather_facts": False, "tasks": _tasks(files, proven, tmp_path / "vars.json")}]
    arguments = ("-vvvv", "--diff", "-e", f"@{given / 'variables.json'}")
    played = run_playbook(json.dumps(play), *arguments, environment=environment)
    assert played.status == 0, played.output

    key["other key"] = everything["other key"] = stage.engine.fetch(order_id)["private_key"]

    # Where it was asked for.
    assert found_in((proven / "role.key").read_text(), everything) == ["other key"]
    assert [path for path in (proven / "www").rglob("*") if path.is_file()] == [], "the challenge is still there"
    for file in ("role.key", "lookup.key"):
        assert found_in((files / file).read_text(), everything) == ["key"]
        assert stat.S_IMODE((files / file).stat().st_mode) == 0o600
    for file in ("role.pem", "lookup.pem"):
        assert found_in((files / file).read_text(), everything) == []
    assert sorted(path.name for path in files.iterdir()) == ["lookup.key", "lookup.pem", "role.key", "role.pem"]

    known = json.loads((tmp_path / "vars.json").read_text())
    assert "refused" in known["failed_role_refused"] or "permission" in known["failed_role_refused"]
    assert ECHO in known["failed_role_repeated"]
    assert re.search(f"certificate: Vault at [^:]+://[^:]+:[0-9]+ answered 500[^:]+: {ECHO}", played.output)
    assert "does not exist; create it" in known["failed_role_without_directory"]
    assert "certops.vault_extca.certificate: Vault at" in played.output
    # Ansible itself keeps the failed task of a rescue, with what its options were.
    assert known.pop("ansible_failed_task")["action"].endswith("vault_extca_certificate_files")
    assert found_in(json.dumps(known), key) == [], "a variable keeps the key"

    witnessed = (watched / "witness.log").read_text()
    assert "module_args" in played.output, "nothing would be seen"
    assert '"syslog"' in witnessed, "nothing would be seen"
    assert '"subprocess.Popen"' in witnessed, "nothing would be seen"
    assert found_in(played.output, everything) == []
    assert found_in((tmp_path / "ansible.log").read_text(), everything) == []
    assert found_in(witnessed, everything) == []

    kept = [path for path in remote.rglob("*") if path.is_file()]
    assert kept, "nothing would be seen"
    for path in [*kept, *watched.rglob("*"), *local.rglob("*")]:
        if path.is_file():
            betrayed = set(found_in(path.read_bytes().decode(errors="replace"), everything))
            if betrayed and path in kept:
                # Ansible itself keeps what it was told to transfer, in a directory of the user's own.
                assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700, path
                betrayed -= _given(path)
            assert not betrayed, path


def _given(path: Path) -> set[str]:
    """The secrets that the task was given whose kept file this is."""
    if path.name.startswith(".source"):
        # What the task that asks the lookup for the key copies, and the challenge in the role's web server.
        return {"key", "key authorization"}
    return GIVEN.get(re.sub(rf"^AnsiballZ_{PREFIX}|\.py$", "", path.name), set())
