# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Every endpoint once: what is sent, what comes back, and what is refused before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import (
    ENGINE_TYPE,
    ExternalCA,
    NoCertificateYet,
    OrderReference,
    format_order_reference,
    parse_order_reference,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_connection import VaultConnection
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_errors import (
    BadRequest,
    InvalidInput,
    NotFound,
    UnexpectedAnswer,
    VaultError,
)
from hypothesis import given
from hypothesis import strategies as st

from ...issuing import SmallCA
from ...ordering import (
    AWAITING,
    MOUNT,
    NEVER,
    ORDER,
    ORDER_ID,
    ROLE,
    challenge,
    looked_up,
    order_data,
    order_status,
    recent,
)
from ...support import NO_CONTENT, NOTHING_THERE, Answer, FakeVault

REFERENCE = OrderReference("web", ORDER_ID)
ACCOUNT = f"{MOUNT}/config/acme-account/main"
PROVIDER = f"{MOUNT}/config/dns/rfc2136/internal"
NO_MOUNT = Answer(status=404, errors=['no handler for route "pki-external-ca/x". route entry not found.'])
REFUSED = Answer(status=400, errors=["no"])
Call = Callable[[ExternalCA], Any]


# ---------------------------------------------------------------------- what is sent

WRITES: list[tuple[Call, str, dict[str, Any] | None]] = [
    (lambda ca: ca.enable({"description": "d"}), f"POST sys/mounts/{MOUNT}", {"type": ENGINE_TYPE, "description": "d"}),
    (lambda ca: ca.tune({"description": "d"}), f"POST sys/mounts/{MOUNT}/tune", {"description": "d"}),
    (lambda ca: ca.disable(), f"DELETE sys/mounts/{MOUNT}", None),
    (lambda ca: ca.write_acme_account("main", {"a": 1}), f"POST {ACCOUNT}", {"a": 1}),
    (lambda ca: ca.import_acme_account("main", {"a": 1}), f"POST {ACCOUNT}/import", {"a": 1}),
    (
        lambda ca: ca.rotate_acme_account_key("main", "ec-256", True),
        f"POST {ACCOUNT}/rotate-key",
        {"key_type": "ec-256", "force": True},
    ),
    (lambda ca: ca.delete_acme_account("main"), f"DELETE {ACCOUNT}", None),
    (lambda ca: ca.write_role("web", {"a": 1}), f"POST {ROLE}", {"a": 1}),
    (lambda ca: ca.delete_role("web", False), f"DELETE {ROLE}", None),
    (lambda ca: ca.write_dns_provider("rfc2136", "internal", {"a": 1}), f"POST {PROVIDER}", {"a": 1}),
    (lambda ca: ca.delete_dns_provider("rfc2136", "internal"), f"DELETE {PROVIDER}", None),
    (
        lambda ca: ca.test_dns_provider("rfc2136", "internal", "a.example", True),
        f"POST {MOUNT}/dns/test/workflow",
        {"identifier": "a.example", "provider_type": "rfc2136", "provider_name": "internal", "omit_cleanup": True},
    ),
    (
        lambda ca: ca.new_order("web", identifiers=["a.example"]),
        f"POST {ROLE}/new-order",
        {"identifiers": ["a.example"]},
    ),
    (lambda ca: ca.new_order("web", csr="PEM"), f"POST {ROLE}/new-order", {"csr": "PEM"}),
    (
        lambda ca: ca.fulfil_challenge(REFERENCE, "a.example", "http-01"),
        f"POST {ORDER}/fulfilled-challenge",
        {"identifier": "a.example", "challenge_type": "http-01"},
    ),
    (lambda ca: ca.revoke(REFERENCE, "superseded"), f"POST {ORDER}/revoke", {"reason": "superseded"}),
]


@pytest.mark.parametrize(("call", "request_line", "body"), WRITES, ids=[line for _call, line, _body in WRITES])
def test_writes(external_ca: ExternalCA, vault: FakeVault, call: Call, request_line: str, body: Any) -> None:
    method, _space, path = request_line.partition(" ")
    vault.on(method, path, Answer({"order_id": ORDER_ID, "email_contacts": None, "success": True}))
    call(external_ca)
    assert vault.calls == [request_line]
    assert vault.sent[0].body == body


@pytest.mark.parametrize(
    ("call", "path", "expected"),
    [
        (lambda ca: ca.acme_account_names(), f"{MOUNT}/config/acme-account", ["a/b", "c"]),
        (lambda ca: ca.role_names(), f"{MOUNT}/role", ["a/b", "c"]),
        (lambda ca: ca.dns_provider_names(), f"{MOUNT}/config/dns", [("a", "b"), ("c", "")]),
        (
            lambda ca: ca.dns_provider_names("rfc2136"),
            f"{MOUNT}/config/dns/rfc2136",
            [("rfc2136", "a/b"), ("rfc2136", "c")],
        ),
        (lambda ca: ca.active_orders("web"), f"{ROLE}/active-orders", ["a/b", "c"]),
        (lambda ca: ca.order_ids(), f"{MOUNT}/lookup/orders", ["a/b", "c"]),
    ],
)
def test_lists(external_ca: ExternalCA, vault: FakeVault, call: Call, path: str, expected: Any) -> None:
    vault.on("LIST", path, Answer({"keys": ["a/b", "c"]}), NOTHING_THERE, NO_CONTENT, NO_MOUNT)
    assert [call(external_ca) for _n in range(3)] == [expected, [], []]
    with pytest.raises(NotFound, match="no handler for route"):
        call(external_ca)


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda ca: ca.acme_account("main"), ACCOUNT),
        (lambda ca: ca.role("web"), ROLE),
        (lambda ca: ca.dns_provider("rfc2136", "internal"), PROVIDER),
        (lambda ca: ca.order(REFERENCE), f"{ORDER}/status"),
        (lambda ca: ca.find_order(ORDER_ID), f"{MOUNT}/lookup/order/{ORDER_ID}"),
        (lambda ca: ca.issued_certificate("0a:1b"), f"{MOUNT}/lookup/cert/0a:1b"),
        (lambda ca: ca.cached_certificate("web", identifiers=["a.example"]), f"{ROLE}/cached"),
    ],
)
def test_what_is_not_there_is_none_and_a_mount_that_is_not_is_an_error(
    external_ca: ExternalCA, vault: FakeVault, call: Call, path: str
) -> None:
    vault.on("GET", path, NOTHING_THERE, NO_MOUNT)
    assert call(external_ca) is None
    with pytest.raises(NotFound, match="no handler for route"):
        call(external_ca)


def test_the_mount_is_one_of_all(vault: FakeVault) -> None:
    mounted = {"team/acme/": {"type": ENGINE_TYPE}, "odd/": "text"}
    vault.on("GET", "sys/mounts", Answer(mounted))
    external_ca = ExternalCA(VaultConnection({"url": "http://vault.test", "token": "t"}, environ={}), "/team/acme/")
    assert external_ca.mount == "team/acme"
    assert external_ca.mount_configuration() == {"type": ENGINE_TYPE, "config": {}}
    assert external_ca.on("odd").mount_configuration() is None
    assert external_ca.on("team/acme") is external_ca


def test_an_account_always_has_contacts(external_ca: ExternalCA, vault: FakeVault) -> None:
    vault.on("GET", ACCOUNT, Answer({"name": "main"}))
    vault.on("POST", f"{ACCOUNT}/import", Answer({"name": "main"}))
    for account in (external_ca.acme_account("main"), external_ca.import_acme_account("main", {})):
        assert account == {"name": "main", "email_contacts": [], "account_keys": {}, "active_key_version": 0}


def test_deleting_a_role_by_force_is_a_query_parameter(external_ca: ExternalCA, vault: FakeVault) -> None:
    vault.on("DELETE", ROLE, NO_CONTENT)
    external_ca.delete_role("web", True)
    assert vault.sent[0].params == {"force": ["true"]}


def test_warnings_of_a_role_are_handed_on(external_ca: ExternalCA, vault: FakeVault) -> None:
    vault.on("POST", ROLE, Answer({"name": "web"}, warnings=["unrecognized"]))
    assert external_ca.write_role("web", {}) == ({"name": "web"}, ["unrecognized"])


def test_a_failed_test_of_a_provider_is_an_outcome(external_ca: ExternalCA, vault: FakeVault) -> None:
    failed = '{"errors": ["dns: bad signature"], "data": {"success": false, "message": "failed to create the record"}}'
    path = f"{MOUNT}/dns/test/workflow"
    vault.on("POST", path, Answer(status=400, text=failed), Answer(status=400, errors=["unknown provider"]))
    outcome = external_ca.test_dns_provider("rfc2136", "internal", "a.example", False)
    assert (outcome["success"], outcome["message"]) == (False, "failed to create the record; dns: bad signature")
    with pytest.raises(BadRequest, match="unknown provider"):
        external_ca.test_dns_provider("rfc2136", "internal", "a.example", False)


@pytest.mark.parametrize(
    ("answer", "may_be_there"),
    [
        (Answer(status=502, text="<html>"), True),
        (Answer(raises=requests.exceptions.ReadTimeout()), True),
        (Answer(status=400, errors=["unknown role"]), False),
    ],
)
def test_an_order_whose_answer_is_lost_may_have_been_made(
    external_ca: ExternalCA, vault: FakeVault, answer: Answer, may_be_there: bool
) -> None:
    vault.on("POST", f"{ROLE}/new-order", answer)
    with pytest.raises(VaultError) as caught:
        external_ca.new_order("web", identifiers=["www.example.com"])
    assert caught.value.message.endswith("the next run finds it; retries do not repeat it.") is may_be_there


def test_a_write_without_an_answer_is_no_resource(external_ca: ExternalCA, vault: FakeVault) -> None:
    vault.on("POST", f"{ROLE}/new-order", NO_CONTENT)
    with pytest.raises(UnexpectedAnswer, match="returned no data. Check that the mount is of type pki-external-ca"):
        external_ca.new_order("web", identifiers=["a.example"])


# ---------------------------------------------------------------------- what comes back


def test_an_order_reads_the_same_from_every_vault(external_ca: ExternalCA, vault: FakeVault) -> None:
    rows = {"www.example.com": [challenge("dns-01", manual=manual) for manual in ("true", "false", None)]}
    vault.on(
        "GET",
        f"{ORDER}/status",
        order_status("awaiting_challenge_fulfillment", challenges=rows, last_update="2026-01-31T13:00:01.9+01:00"),
        order_status("new", challenges=None, csr=None, expires=NEVER),
        order_status("new", challenges={"www.example.com": None}),
    )
    first, second, third = (external_ca.order(REFERENCE) for _n in range(3))
    assert first is not None
    assert (first["order_status"], first["last_update"], first["next_work_date"]) == (
        AWAITING,
        "2026-01-31T12:00:01Z",
        "",
    )
    manual = [row["requires_manual_fulfillment"] for row in first["challenges"]["www.example.com"]]
    assert manual == [True, False, None]
    assert second is not None
    assert (second["challenges"], second["csr"], second["expires"]) == ({}, "", "")
    assert third is not None
    assert third["challenges"] == {"www.example.com": []}


@pytest.mark.parametrize(
    "changes",
    [
        {"role_name": 7},
        {"identifiers": "www.example.com"},
        {"identifiers": [1]},
        {"challenges": ["a"]},
        {"challenges": {"a": {"challenge_type": "http-01"}}},
        {"challenges": {"a": ["http-01"]}},
        {"expires": ["2026-01-31T12:00:00Z"]},
    ],
)
def test_values_of_the_wrong_type_are_no_answer_of_vaults(
    external_ca: ExternalCA, vault: FakeVault, changes: dict[str, Any]
) -> None:
    vault.on("GET", f"{ORDER}/status", order_status(AWAITING, **changes))
    with pytest.raises(UnexpectedAnswer, match="that is not an answer of the pki-external-ca engine"):
        external_ca.order(REFERENCE)


WRONG = "that is not an answer of the pki-external-ca engine"


@pytest.mark.parametrize(
    "changes",
    [
        {"account_keys": [5]},
        {"account_keys": {"0": None}},
        {"account_keys": {"0": {"key_type": 5}}},
        {"account_keys": {"0": {"key_type": "ec-256", "key_creation_date": 5}}},
        {"active_key_version": "0"},
        {"email_contacts": "pki@example.com"},
    ],
)
def test_so_are_they_in_an_account(external_ca: ExternalCA, vault: FakeVault, changes: dict[str, Any]) -> None:
    account = {"account_keys": {"0": {"key_type": "ec-256"}}, "active_key_version": 0, "email_contacts": None}
    vault.on("GET", ACCOUNT, Answer({**account, **changes}), Answer(account))
    with pytest.raises(UnexpectedAnswer, match=WRONG):
        external_ca.acme_account("main")
    assert (external_ca.acme_account("main") or {})["email_contacts"] == []


def test_so_are_they_in_a_mount_and_in_a_list(external_ca: ExternalCA, vault: FakeVault) -> None:
    vault.on("GET", "sys/mounts", Answer({f"{MOUNT}/": {"type": ENGINE_TYPE, "config": [5]}}))
    vault.on("LIST", f"{MOUNT}/lookup/orders/recent", Answer({"keys": [ORDER_ID], "key_info": [5]}))
    for call in (external_ca.mount_configuration, lambda: external_ca.recent_orders("1h")):
        with pytest.raises(UnexpectedAnswer, match=WRONG):
            call()


@pytest.mark.parametrize("answer", [REFUSED, NOTHING_THERE, Answer(None), Answer({"certificate": ""}), NO_CONTENT])
def test_no_certificate_yet_is_said_in_many_ways(external_ca: ExternalCA, vault: FakeVault, answer: Answer) -> None:
    vault.on("GET", f"{ORDER}/fetch-cert", answer)
    with pytest.raises(NoCertificateYet) as caught:
        external_ca.certificate(REFERENCE)
    assert caught.value.transient


@pytest.mark.parametrize(
    "empty", [{"private_key": None, "private_key_type": None}, {"private_key": "", "private_key_type": ""}]
)
def test_no_private_key_is_none(external_ca: ExternalCA, vault: FakeVault, empty: dict[str, Any]) -> None:
    vault.on("GET", f"{ORDER}/fetch-cert", Answer(SmallCA().issue("a.example").data(**empty)))
    certificate = external_ca.certificate(REFERENCE, "pem")
    assert (certificate["private_key"], certificate["private_key_type"]) == (None, None)


def test_recent_orders_are_rows(external_ca: ExternalCA, vault: FakeVault) -> None:
    vault.on(
        "LIST",
        f"{MOUNT}/lookup/orders/recent",
        recent((ORDER_ID, order_data("vault_challenge_propagating"))),
        Answer({"keys": [ORDER_ID]}),
    )
    (row,) = external_ca.recent_orders("1h")
    assert (row["order_id"], row["order_status"]) == (ORDER_ID, "vault-challenge-propagating")
    (bare,) = external_ca.recent_orders("1h")
    assert (bare["order_id"], bare["role_name"], bare["identifiers"]) == (ORDER_ID, "", [])


def test_the_order_behind_a_certificate(external_ca: ExternalCA, vault: FakeVault) -> None:
    vault.on("GET", f"{MOUNT}/lookup/cert/0a:1b", looked_up(status="completed"))
    issued = external_ca.issued_certificate("0a:1b")
    assert issued is not None
    assert (issued["order_id"], issued["not_after"]) == (ORDER_ID, "2026-05-01T12:00:00Z")


@pytest.mark.parametrize("spelled", ["0a:1b:9f", "0A:1B:9F", "0a-1b-9f", "A-1B-9F", "0a1b9f"])
def test_a_serial_number_has_one_spelling(external_ca: ExternalCA, vault: FakeVault, spelled: str) -> None:
    vault.on("GET", f"{ORDER}/status", order_status("completed", serial_number=spelled))
    vault.on("GET", f"{ORDER}/fetch-cert", Answer(SmallCA().issue("a.example").data(serial_number=spelled)))
    vault.on("GET", f"{MOUNT}/lookup/cert/0a:1b:9f", looked_up(status="completed"))
    order, certificate = external_ca.order(REFERENCE), external_ca.certificate(REFERENCE)
    assert order is not None
    assert (order["serial_number"], certificate["serial_number"]) == ("0a:1b:9f", "0a:1b:9f")
    assert external_ca.issued_certificate(spelled) is not None


# ---------------------------------------------------------------------- what is refused

NAMES: list[Call] = [
    lambda ca: ca.role(BAD),
    lambda ca: ca.acme_account(BAD),
    lambda ca: ca.dns_provider("rfc2136", BAD),
    lambda ca: ca.active_orders(BAD),
    lambda ca: ca.order(OrderReference(BAD, ORDER_ID)),
    lambda ca: ca.order(OrderReference("web", BAD)),
    lambda ca: ca.find_order(BAD),
    lambda ca: ca.issued_certificate(BAD),
    lambda ca: ca.dns_provider(BAD, "internal"),
    lambda ca: ca.on(BAD),
]
BAD = "../../sys/policies/acl/root"


@pytest.mark.parametrize("call", NAMES)
def test_a_name_that_climbs_is_refused_before_any_request(
    external_ca: ExternalCA, vault: FakeVault, call: Call
) -> None:
    with pytest.raises(InvalidInput):
        call(external_ca)
    assert vault.calls == []


@given(st.text(max_size=30))
def test_every_name_is_one_segment_of_a_path_or_refused(name: str) -> None:
    class Recorder:
        path = ""

        def request(self, method: str, path: str, **kwargs: Any) -> Any:
            self.path = path
            raise NotFound("nothing")

    recorder = Recorder()
    external_ca = ExternalCA(recorder, MOUNT)  # type: ignore[arg-type]  # all of a connection that is needed here
    try:
        external_ca.order(OrderReference(name, ORDER_ID))
    except InvalidInput:
        return
    assert recorder.path.split("/") == [MOUNT, "role", name, "order", ORDER_ID, "status"]


@given(st.text(max_size=30))
def test_a_mount_is_segments_of_a_path_or_refused(name: str) -> None:
    try:
        mount = ExternalCA(None, name).mount  # type: ignore[arg-type]  # nothing is sent
    except InvalidInput:
        return
    assert all(segment not in ("", ".", "..") for segment in mount.split("/"))
    assert not set(mount) & set("?#%*+\\ \t\n")


@given(st.lists(st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True), min_size=1, max_size=4), st.uuids())
def test_an_id_survives_being_read(segments: list[str], order_id: Any) -> None:
    mount, reference = "/".join(segments), OrderReference("web.role", str(order_id))
    assert parse_order_reference(format_order_reference(f"/{mount}/", reference)) == (mount, reference)


@pytest.mark.parametrize(
    "text", ["", "web", f"role/web/order/{ORDER_ID}/certificate", f"{ORDER}/status", f"{ORDER}/certificate/x"]
)
def test_other_texts_are_no_id(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not of the form"):
        parse_order_reference(text)
