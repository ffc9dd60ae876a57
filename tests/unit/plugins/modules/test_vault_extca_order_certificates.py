# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_order_certificates: many orders side by side, a result for each."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from ansible_collections.certops.vault_extca.plugins.module_utils import many_orders, order_results

from ...conftest import RunModule
from ...issuing import Issued, SmallCA
from ...support import NOTHING_THERE, Answer, FakeVault, ManualClock

MODULE = "vault_extca_order_certificates"
CA = SmallCA()
IDS = [f"{number:08d}-3a7c-4b8e-9d55-0d4a6c1b2e3f" for number in range(40)]
NAMES = [f"host{number}.example.com" for number in range(40)]
_LEAVES: dict[str, Issued] = {}


def leaf(name: str) -> Issued:
    return _LEAVES.setdefault(name, CA.issue(name))


def path(number: int, mount: str = "pki-external-ca") -> str:
    return f"{mount}/role/web/order/{IDS[number]}"


def status(number: int, order_status: str, **changes: Any) -> Answer:
    pending = [{"challenge_type": "http-01", "challenge_status": "pending", "expires": "2026-02-07T12:00:00Z"}]
    return Answer(
        {
            "order_status": order_status,
            "role_name": "web",
            "identifiers": [NAMES[number]],
            "creation_date": "2026-01-31T12:00:00Z",
            "last_update": "2026-01-31T12:00:00Z",
            "next_work_date": "0001-01-01T00:00:00Z",
            "expires": "2026-02-07T12:00:00Z",
            "last_error": "",
            "serial_number": "",
            "csr": "",
            "challenges": {NAMES[number]: pending},
            **changes,
        }
    )


def scripted(vault: FakeVault, number: int, *states: str, mount: str = "pki-external-ca") -> None:
    vault.on("GET", f"{path(number, mount)}/status", *(status(number, state) for state in states))
    vault.on("GET", f"{path(number, mount)}/fetch-cert", Answer(leaf(NAMES[number]).data()))


def options(count: int, **more: Any) -> dict[str, Any]:
    return {"role_name": "web", "order_ids": IDS[:count], **more}


def test_each_completed_order_takes_two_requests_and_no_sleep(
    vault: FakeVault, clock: ManualClock, run_module: RunModule
) -> None:
    for number in range(40):
        scripted(vault, number, "completed")
    result = run_module(MODULE, options(40))
    assert sorted(vault.calls) == sorted(
        f"GET {path(number)}/{what}" for number in range(40) for what in ("status", "fetch-cert")
    )
    assert clock.slept == []
    assert (result["changed"], result["failed_orders"], list(result["certificates"])) == (False, [], IDS)
    for number in range(40):
        one = result["certificates"][IDS[number]]
        assert one["identifiers"] == [NAMES[number]]
        assert one["private_key"] == leaf(NAMES[number]).data()["private_key"]
        assert one["id"] == f"{path(number)}/certificate"


def test_one_login_serves_all(vault: FakeVault, run_module: RunModule) -> None:
    for number in range(20):
        scripted(vault, number, "completed")
    vault.on("POST", "auth/approle/login", Answer(auth={"client_token": "hvs.one", "token_type": "service"}))
    vault.on("POST", "auth/token/revoke-self", Answer(status=204))
    result = run_module(MODULE, options(20, token=None, auth_method="approle", role_id="web", secret_id="hush"))
    assert "failed" not in result
    assert vault.calls.count("POST auth/approle/login") == 1
    assert vault.calls[0] == "POST auth/approle/login"
    assert vault.calls[-1] == "POST auth/token/revoke-self"
    assert {one.headers.get("X-Vault-Token") for one in vault.sent[1:]} == {"hvs.one"}


def test_a_login_that_fails_ends_the_task_and_is_not_tried_for_each_order(
    vault: FakeVault, run_module: RunModule
) -> None:
    vault.on("POST", "auth/approle/login", Answer(status=400, errors=["invalid role or secret ID"]))
    result = run_module(
        MODULE, options(20, token=None, auth_method="approle", role_id="web", secret_id="hush", concurrency=2)
    )
    assert "invalid role or secret ID" in result["msg"]
    assert "certificates" not in result
    assert vault.calls.count("POST auth/approle/login") <= 2


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_requests_than_permitted_are_under_way(
    vault: FakeVault, run_module: RunModule, monkeypatch: pytest.MonkeyPatch, concurrency: int
) -> None:
    for number in range(12):
        scripted(vault, number, "completed")
    lock, under_way, most = threading.Lock(), 0, 0
    send = requests.adapters.HTTPAdapter.send

    def counting(*arguments: Any, **more: Any) -> Any:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.002)  # or none would meet another
        try:
            return send(*arguments, **more)
        finally:
            with lock:
                under_way -= 1

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", counting)
    assert "failed" not in run_module(MODULE, options(12, concurrency=concurrency))
    assert most == concurrency


def test_orders_that_go_on_are_waited_for_side_by_side(
    vault: FakeVault, clock: ManualClock, run_module: RunModule
) -> None:
    for number in range(10):
        scripted(vault, number, "processing-challenge", "processing-challenge", "fetching-certificate", "completed")
    result = run_module(MODULE, options(10, concurrency=2))
    assert {one["polls"] for one in result["certificates"].values()} == {4}
    # As long as one of them takes: 0.25, 0.375, and 0.25 again after the change.
    assert sum(clock.slept) <= 0.875


def test_the_failure_of_one_is_its_own_and_fails_the_task_at_the_end(
    vault: FakeVault, clock: ManualClock, run_module: RunModule
) -> None:
    scripted(vault, 0, "completed")
    scripted(vault, 1, "expired")
    scripted(vault, 2, "processing-challenge", "completed")
    vault.on("GET", f"{path(3)}/status", NOTHING_THERE)
    result = run_module(MODULE, options(4))
    assert result["failed"] is True
    assert result["failed_orders"] == [IDS[1], IDS[3]]
    assert result["msg"].startswith(f"2 of 4 orders failed. Order {IDS[1]} of role web ended as expired.")
    assert f"has no order {IDS[3]}" in result["msg"]
    one = result["certificates"][IDS[1]]
    assert (one["failed"], one["order_status"], one["order_id"]) == (True, "expired", IDS[1])
    assert [IDS[number] for number in (0, 2)] == [
        order_id for order_id, one in result["certificates"].items() if "certificate" in one
    ]


def test_of_many_failures_three_are_told(vault: FakeVault, run_module: RunModule) -> None:
    for number in range(5):
        scripted(vault, number, "error")
    result = run_module(MODULE, options(5))
    assert result["msg"].count("ended as error") == 3
    assert result["msg"].endswith("And 2 more: see certificates.")


def test_a_refused_token_is_told_what_it_lacks(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", f"{path(0)}/status", Answer(status=403, errors=["permission denied"]))
    vault.on("GET", f"{path(0)}/fetch-cert", Answer(status=403, errors=["permission denied"]))
    vault.on("POST", "sys/capabilities-self", Answer({f"{path(0)}/fetch-cert": ["deny"]}))
    result = run_module(MODULE, options(1))
    assert f"On {path(0)}/fetch-cert the token has nothing there, and lacks read." in result["msg"]


def test_the_deadline_is_that_of_all(vault: FakeVault, clock: ManualClock, run_module: RunModule) -> None:
    for number in range(6):
        scripted(vault, number, "awaiting-challenge-fulfillment")
    result = run_module(MODULE, options(6, wait_timeout=20, concurrency=1))
    assert sum(clock.slept) == pytest.approx(20, abs=0.1)
    assert result["msg"].startswith("6 of 6 orders failed.")
    assert "is still awaiting-challenge-fulfillment after 20 s" in result["msg"]


@pytest.mark.parametrize("how", [{"wait": False}, {}])
def test_without_waiting_the_states_are_returned(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, how: dict[str, Any]
) -> None:
    scripted(vault, 0, "completed")
    scripted(vault, 1, "processing-challenge")
    result = run_module(MODULE, options(2, **how), check=not how)
    assert "failed" not in result
    assert "certificate" in result["certificates"][IDS[0]]
    assert result["certificates"][IDS[1]]["order_status"] == "processing-challenge"
    assert "certificate" not in result["certificates"][IDS[1]]
    assert clock.slept == []


def test_no_orders_take_no_request(vault: FakeVault, run_module: RunModule) -> None:
    result = run_module(MODULE, options(0))
    assert (result["certificates"], result["changed"], vault.calls) == ({}, False, [])


def test_an_order_that_is_named_twice_is_read_once(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, 0, "completed")
    run_module(MODULE, {"role_name": "web", "order_ids": [IDS[0], IDS[0]]})
    assert len(vault.calls) == 2


def test_ids_name_orders_of_any_mount(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, 0, "completed", mount="team/acme")
    scripted(vault, 1, "completed")
    ids = [f"{path(0, 'team/acme')}/certificate", f"{path(1)}/certificate"]
    result = run_module(MODULE, {"ids": ids})
    assert [one["id"] for one in result["certificates"].values()] == ids


# ---------------------------------------------------------------------- files


def template(directory: Path, **more: str) -> dict[str, Any]:
    return {"fullchain": f"{directory}/{{identifier}}.pem", "private_key": f"{directory}/{{order_id}}.key", **more}


def test_each_certificate_is_written_to_files_of_its_own(
    vault: FakeVault, run_module: RunModule, tmp_path: Path
) -> None:
    for number in range(3):
        scripted(vault, number, "completed")
    wanted = options(3, destination=template(tmp_path))
    first = run_module(MODULE, wanted, diff=True)
    assert first["changed"] is True
    for number in range(3):
        of_one, data = first["certificates"][IDS[number]], leaf(NAMES[number]).data()
        key, chain = tmp_path / f"{IDS[number]}.key", tmp_path / f"{NAMES[number]}.pem"
        assert key.read_text() == data["private_key"]
        assert key.stat().st_mode & 0o777 == 0o600
        assert chain.read_text() == data["certificate"] + data["ca_chain"][0]
        assert of_one["files"] == [str(key), str(chain)]
        assert "private_key" not in of_one
        assert first["diff"][number]["before_header"] == IDS[number]
        assert first["diff"][number]["after"]["serial_number"] == data["serial_number"]
    again = run_module(MODULE, wanted)
    assert again["changed"] is False
    assert [one["files"] for one in again["certificates"].values()] == [[], [], []]


def test_what_ansible_cannot_give_a_file_is_a_failure_of_each_order_and_loses_none(
    vault: FakeVault, run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        scripted(vault, number, "completed")

    def refuse(path: object, *owner: object, **how: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.lchown", refuse)
    result = run_module(MODULE, options(2, destination=template(tmp_path), owner=str(os.getuid() + 1)))
    assert result["failed_orders"] == IDS[:2]
    for order_id in IDS[:2]:
        assert "chown failed" in result["certificates"][order_id]["msg"]
    assert list(tmp_path.glob("*.pem")) == []


def test_check_mode_writes_nothing_and_tells_what_it_would(
    vault: FakeVault, run_module: RunModule, tmp_path: Path
) -> None:
    scripted(vault, 0, "completed")
    result = run_module(MODULE, options(1, destination=template(tmp_path)), check=True)
    assert result["changed"] is True
    assert len(result["certificates"][IDS[0]]["files"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_wildcard_gives_a_plain_file_name(vault: FakeVault, run_module: RunModule, tmp_path: Path) -> None:
    vault.on("GET", f"{path(0)}/status", status(0, "completed", identifiers=["*.example.com"]))
    vault.on("GET", f"{path(0)}/fetch-cert", Answer(leaf("*.example.com").data()))
    run_module(MODULE, options(1, destination={"fullchain": f"{tmp_path}/{{role_name}}-{{identifier}}.pem"}))
    assert [one.name for one in tmp_path.iterdir()] == ["web-_.example.com.pem"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", ".", "", "a/b", "/etc/passwd", "a\x00b", "-r\n"])
def test_a_name_that_would_lead_elsewhere_is_refused(
    vault: FakeVault, run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    scripted(vault, 0, "completed")
    certificate_result = order_results.certificate_result
    monkeypatch.setattr(
        f"{many_orders.__name__}.certificate_result",
        lambda *given: {**certificate_result(*given), "identifiers": [name]},
    )
    inner = tmp_path / "inner"
    inner.mkdir()
    result = run_module(MODULE, options(1, destination={"fullchain": f"{inner}/{{identifier}}"}))
    assert "cannot be part of a file's path" in result["msg"]
    assert list(tmp_path.rglob("*")) == [inner]


def test_two_orders_for_the_same_name_do_not_overwrite_each_other(
    vault: FakeVault, run_module: RunModule, tmp_path: Path
) -> None:
    scripted(vault, 0, "completed")
    vault.on("GET", f"{path(1)}/status", status(1, "completed", identifiers=[NAMES[0]]))
    vault.on("GET", f"{path(1)}/fetch-cert", Answer(CA.issue(NAMES[0]).data()))
    result = run_module(MODULE, options(2, destination={"fullchain": f"{tmp_path}/{{identifier}}.pem"}))
    assert result["failed_orders"] == [IDS[1]]
    assert f"holds the certificate of order {IDS[0]} already" in result["msg"]
    assert result["changed"] is True
    assert (tmp_path / f"{NAMES[0]}.pem").read_text() == result["certificates"][IDS[0]]["fullchain"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"destination": {"fullchain": "/tmp/same.pem"}}, "the same file for all orders"),
        ({"destination": {"fullchain": "/tmp/{role_name}.pem"}}, "the same file for all orders"),
        ({"destination": {"fullchain": "/tmp/{order_id}{token}.pem"}}, "in braces may stand order_id, role_name"),
        ({"destination": {"fullchain": "/tmp/{order_id.__class__}.pem"}}, "in braces may stand order_id, role_name"),
        ({"concurrency": 0}, "concurrency 0 is not between 1 and 50"),
        ({"concurrency": 51}, "concurrency 51 is not between 1 and 50"),
        ({"role_name": "../../sys/policies/acl/root"}, "role_name '../../sys/policies/acl/root' cannot be used"),
        ({"order_ids": ["a/../b"]}, "order_id 'a/../b' cannot be used"),
        ({"mount": "a/../sys"}, "mount 'a/../sys' is not the path of a mount"),
        ({"wait_timeout": -1}, "wait_timeout -1 is negative"),
        ({"ids": ["nonsense"], "role_name": None, "order_ids": None}, "id 'nonsense' is not of the form"),
        (
            {"ids": [f"{path(0)}/certificate", f"{path(0, 'm')}/certificate"], "role_name": None, "order_ids": None},
            f"ids has order {IDS[0]} twice",
        ),
        ({"ids": [f"{path(0)}/certificate"]}, "mutually exclusive"),
        ({"role_name": None}, "required"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    vault: FakeVault, run_module: RunModule, changes: dict[str, Any], complaint: str
) -> None:
    result = run_module(MODULE, {**options(2), **changes})
    assert complaint in result["msg"]
    assert vault.calls == []
