# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Tasks beside tasks of others that do the same, or less."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.behaviour.harness import Engine
from tests.testbed import Testbed
from tests.unit.issuing import key_pem, new_csr, new_key

from .costs import Cost, Player, loop, median, rounds
from .report import Row

_CERTIFICATE = "certops.vault_extca.vault_extca_certificate"
_ORDER_CERTIFICATE = "certops.vault_extca.vault_extca_order_certificate"
_ORDER_CERTIFICATES = "certops.vault_extca.vault_extca_order_certificates"
_names = itertools.count(1)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s"


def completed_rows(player: Player, engine: Engine, turns: int, times: int) -> list[Row]:
    """vault_extca_order_certificate on a completed order, beside what reads the same and less."""
    order_id = engine.issue()
    path = f"{engine.mount}/role/{engine.role}/order/{order_id}"
    headers = {"X-Vault-Token": engine.bench.vault.token}
    ours = {"mount": engine.mount, "role_name": engine.role, "order_id": order_id, "facts": "none"}
    uris = [
        loop("ansible.builtin.uri", {"url": f"{engine.bench.vault.url}/v1/{path}/{what}", "headers": headers}, times)
        for what in ("status", "fetch-cert")
    ]
    found = rounds(
        turns,
        {
            "start": player.start,
            "ours": lambda: player.play("ours", [loop(_ORDER_CERTIFICATE, ours, times)]),
            "vault_read": lambda: player.play(
                "vault_read", [loop("community.hashi_vault.vault_read", {"path": f"{path}/fetch-cert"}, times)]
            ),
            "uri": lambda: player.play("uri", uris),
        },
    )
    each = {name: cost.less(found["start"]).share(times) for name, cost in found.items()}
    rows = []
    for other, label, goal in (("vault_read", "`vault_read` of fetch-cert", 1.15), ("uri", "two `uri` tasks", 1.0)):
        for kind in ("cpu", "wall"):
            mine, theirs = getattr(each["ours"], kind), getattr(each[other], kind)
            what = f"a completed order, {'CPU' if kind == 'cpu' else 'wall'} of a task (loop of {times})"
            rows.append(Row(what, label, _milliseconds(mine), _milliseconds(theirs), mine / theirs, goal))
    return rows


def workflow_rows(player: Player, engine: Engine, testbed: Testbed, directory: Path, turns: int) -> list[Row]:
    """From nothing to files on disk, beside two steps of acme_certificate and a copy; and a run that has nothing to do."""
    account = directory / "account.key"
    account.write_text(key_pem(new_key()))

    def ours() -> Cost:
        name = f"w{next(_names)}.example.com"
        return player.play("workflow", [{_CERTIFICATE: _wanted(engine, testbed, name, directory / name)}])

    def theirs() -> Cost:
        name = f"p{next(_names)}.example.com"
        return player.play("acme", _acme_tasks(testbed, account, name, directory / name))

    found = rounds(turns, {"start": player.start, "ours": ours, "theirs": theirs})
    mine, other = found["ours"].less(found["start"]), found["theirs"].less(found["start"])
    return [
        Row(
            "the whole workflow, wall, one identifier",
            "`acme_certificate` twice and a `copy`",
            _seconds(mine.wall),
            _seconds(other.wall),
            mine.wall / other.wall,
            0.6,
        ),
        Row(
            "the same, CPU of the controller", "the same", _seconds(mine.cpu), _seconds(other.cpu), mine.cpu / other.cpu
        ),
    ]


def nothing_to_do_rows(
    player: Player, engine: Engine, testbed: Testbed, directory: Path, turns: int, times: int
) -> list[Row]:
    """vault_extca_certificate with good files, beside a stat of each of them."""
    wanted = _wanted(engine, testbed, f"good{next(_names)}.example.com", directory / "good")
    player.play("first", [{_CERTIFICATE: wanted}])
    engine.bench.forget_requests()
    paths = list(wanted["destination"].values())
    stats = [loop("ansible.builtin.stat", {"path": path}, times) for path in paths]
    found = rounds(
        turns,
        {
            "start": player.start,
            "ours": lambda: player.play("good", [loop(_CERTIFICATE, wanted, times)]),
            "stat": lambda: player.play("stat", stats),
        },
    )
    # Other mounts of this Vault are not at rest.
    asked = sum(row.path.startswith(f"{engine.mount}/") for row in engine.bench.requests_made())
    each = {name: cost.less(found["start"]).share(times) for name, cost in found.items()}
    mine, other = each["ours"], each["stat"]
    beside = f"`stat` of its {len(paths)} files"
    return [
        Row(
            "a good certificate, wall",
            beside,
            _milliseconds(mine.wall),
            _milliseconds(other.wall),
            mine.wall / other.wall,
            1.5,
        ),
        Row(
            "a good certificate, CPU",
            beside,
            _milliseconds(mine.cpu),
            _milliseconds(other.cpu),
            mine.cpu / other.cpu,
            1.5,
        ),
        Row("requests to Vault for a good certificate", "none", str(asked), "0", met=asked == 0),
    ]


def many_rows(player: Player, engine: Engine, number: int, turns: int) -> list[Row]:
    """Many completed orders in one task, beside a loop of tasks."""
    order_ids = [engine.issue() for _order in range(number)]
    common = {"mount": engine.mount, "role_name": engine.role}
    single = {_ORDER_CERTIFICATE: {**common, "order_id": "{{ item }}", "facts": "none"}, "loop": order_ids}
    plural = {_ORDER_CERTIFICATES: {**common, "order_ids": order_ids}}
    start = median([player.start() for _turn in range(turns)])
    singles = player.play("singles", [single]).less(start)
    plurals = median([player.play("plural", [plural]) for _turn in range(turns)]).less(start)
    return [
        Row(
            f"{number} completed orders in one task, wall",
            "a loop of single tasks",
            _seconds(plurals.wall),
            _seconds(singles.wall),
            plurals.wall / singles.wall,
            0.05,
        ),
        Row("the same, CPU", "the same", _seconds(plurals.cpu), _seconds(singles.cpu), plurals.cpu / singles.cpu),
    ]


def _wanted(engine: Engine, testbed: Testbed, name: str, place: Path) -> dict[str, Any]:
    place.mkdir(exist_ok=True)
    return {
        "mount": engine.mount,
        "role_name": engine.role,
        "identifiers": [name],
        "http_01": {
            "webroot": str(testbed.webroot),
            "check_address": f"127.0.0.1:{testbed.pebble.http_port}",
        },
        "destination": {"fullchain": str(place / "fullchain.pem"), "private_key": str(place / "key.pem")},
    }


def _acme_tasks(testbed: Testbed, account: Path, name: str, place: Path) -> list[dict[str, Any]]:
    """What community.crypto's documentation shows; the key and the request exist already and are not measured."""
    place.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    (place / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (place / "request.pem").write_text(new_csr(name, key=key))
    step = {
        "acme_directory": testbed.pebble.directory_url,
        "acme_version": 2,
        "validate_certs": False,
        "terms_agreed": True,
        "account_key_src": str(account),
        "csr": str(place / "request.pem"),
        "fullchain_dest": str(place / "fullchain.pem"),
    }
    challenge = f"order.challenge_data['{name}']['http-01']"
    return [
        {"community.crypto.acme_certificate": step, "register": "order"},
        {
            "ansible.builtin.copy": {
                "dest": f"{testbed.webroot}/{{{{ {challenge}.resource }}}}",
                "content": f"{{{{ {challenge}.resource_value }}}}",
                "mode": "0644",
            }
        },
        {"community.crypto.acme_certificate": {**step, "data": "{{ order }}"}},
    ]
