# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Random sequences of operations, with restarts and jumps of the clock between them, keep the engine's promises."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.devserver.engine.harness import TERMINAL, Server, Services, fresh

ACCOUNTS = st.sampled_from(["a1", "a2"])
ROLES = st.sampled_from(["r1", "r2"])
CHOICE = st.integers(min_value=0, max_value=10**6)
STATES = frozenset(
    (
        "new",
        "submitted",
        "awaiting-challenge-fulfillment",
        "notify-acme-server-challenges-completed",
        "processing-challenge",
        "fetching-certificate",
        *TERMINAL,
    )
)


class Operations(RuleBasedStateMachine):
    """What the engine has been told, beside what it says."""

    services: Services

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.server = self.start()
        self.accounts: set[str] = set()
        self.roles: dict[str, str] = {}
        self.orders: dict[str, tuple[str, str]] = {}  # id: role and the state that was seen last

    def start(self) -> Server:
        return Server(self.services, Path(self.directory.name) / "state.db")

    def teardown(self) -> None:
        self.server.close()
        self.directory.cleanup()

    def state(self, order_id: str) -> str:
        return str(self.server.ok("GET", f"lookup/order/{order_id}")["order_status"])

    def active(self, role: str) -> list[str]:
        answer = self.server.request("LIST", f"role/{role}/active-orders")
        return list(answer.data["keys"]) if answer.status_code == 200 else []

    def pick(self, choice: int) -> str:
        return sorted(self.orders)[choice % len(self.orders)]

    @initialize()
    def begin(self) -> None:
        self.write_account("a1")
        self.write_role("r1", "a1")
        self.new_order("r1")

    @rule(name=ACCOUNTS)
    def write_account(self, name: str) -> None:
        self.server.ok("POST", f"config/acme-account/{name}", **self.services.account())
        self.accounts.add(name)

    @rule(name=ACCOUNTS)
    def delete_account(self, name: str) -> None:
        in_use = name in self.roles.values()
        answer = self.server.request("DELETE", f"config/acme-account/{name}")
        assert answer.status_code == (400 if in_use else 204)
        if not in_use:
            self.accounts.discard(name)

    @rule(name=ROLES, account=ACCOUNTS)
    def write_role(self, name: str, account: str) -> None:
        parameters = {
            "acme_account_name": account,
            "allowed_domains": "example.com",
            "allowed_domain_options": "subdomains",
        }
        answer = self.server.request("POST", f"role/{name}", **parameters)
        permitted = account in self.accounts and self.roles.get(name, account) == account
        assert answer.status_code == (200 if permitted else 400)
        if permitted:
            self.roles[name] = account

    @rule(name=ROLES, force=st.booleans())
    def delete_role(self, name: str, force: bool) -> None:
        before = self.active(name)
        answer = self.server.request("DELETE", f"role/{name}", force=str(force).lower())
        if answer.status_code == 400:
            assert before
            assert not force
            return
        assert force or not self.active(name)
        self.roles.pop(name, None)
        assert all(self.state(order_id) in TERMINAL for order_id in before)

    @rule(name=ROLES)
    def new_order(self, name: str) -> None:
        answer = self.server.request("POST", f"role/{name}/new-order", identifiers=[fresh()])
        assert answer.status_code == (200 if name in self.roles else 400)
        if name in self.roles:
            self.orders[answer.data["order_id"]] = (name, "new")

    @precondition(lambda self: self.orders)
    @rule(choice=CHOICE, honest=st.booleans())
    def fulfil(self, choice: int, honest: bool) -> None:
        order_id = self.pick(choice)
        role, _status = self.orders[order_id]
        if role not in self.roles or self.state(order_id) != "awaiting-challenge-fulfillment":
            return
        (identifier,) = self.server.status(order_id, role)["identifiers"]
        if honest:
            self.server.fulfil(order_id, identifier, role=role)
        else:
            self.server.mark(order_id, identifier, role=role)
        self.server.wait(order_id, "completed" if honest else "error", role=role)

    @precondition(lambda self: self.orders)
    @rule(choice=CHOICE)
    def wait_for_challenges(self, choice: int) -> None:
        order_id = self.pick(choice)
        role, _status = self.orders[order_id]
        if role in self.roles:
            self.server.wait(order_id, "awaiting-challenge-fulfillment", *TERMINAL, role=role)

    @precondition(lambda self: self.orders)
    @rule(choice=CHOICE)
    def revoke(self, choice: int) -> None:
        order_id = self.pick(choice)
        role, _status = self.orders[order_id]
        before = self.state(order_id)
        answer = self.server.request("POST", f"role/{role}/order/{order_id}/revoke", reason="superseded")
        assert answer.status_code == (204 if role in self.roles and before == "completed" else 400)
        assert (self.state(order_id) == "revoked") is (answer.status_code == 204 or before == "revoked")

    @rule(name=ACCOUNTS, force=st.booleans())
    def rotate_key(self, name: str, force: bool) -> None:
        answer = self.server.request("POST", f"config/acme-account/{name}/rotate-key", force=force)
        pending = any(self.active(role) for role, account in self.roles.items() if account == name)
        if name not in self.accounts:
            assert answer.status_code == 400
        elif force or not pending:
            assert answer.status_code == 204

    @rule()
    def a_day_passes(self) -> None:
        self.server.vault.clock.advance(25 * 3600)
        for order_id, (role, _status) in self.orders.items():
            if role in self.roles:
                self.server.wait(order_id, *TERMINAL, role=role)

    @rule()
    def restart(self) -> None:
        ahead = self.server.vault.clock.ahead()
        self.server.close()
        self.server = self.start()
        self.server.vault.clock.advance(ahead.total_seconds())  # time does not go back

    @invariant()
    def terminal_states_stay(self) -> None:
        for order_id, (role, seen) in self.orders.items():
            now = self.state(order_id)
            assert now in STATES
            if seen in TERMINAL:
                assert now == seen or (seen, now) == ("completed", "revoked")
            self.orders[order_id] = (role, now)

    @invariant()
    def lists_agree_with_reads(self) -> None:
        for path, known in (("config/acme-account", self.accounts), ("role", set(self.roles))):
            answer = self.server.request("LIST", path)
            listed = set(answer.data["keys"]) if answer.status_code == 200 else set()
            assert listed == known
            assert all(self.server.request("GET", f"{path}/{name}").status_code == 200 for name in listed)
        answer = self.server.request("LIST", "lookup/orders")
        listed = set(answer.data["keys"]) if answer.status_code == 200 else set()
        ended = {order_id for order_id in self.orders if self.state(order_id) in ("error", "expired", "revoked")}
        assert listed - ended <= set(self.orders) - ended
        assert {order_id for order_id in self.orders if self.state(order_id) == "completed"} <= listed
        for role in self.roles:
            assert all(self.orders[order_id][0] == role for order_id in self.active(role))


def test_random_operations(services: Services) -> None:
    operations = type("OperationsHere", (Operations,), {"services": services})
    run_state_machine_as_test(
        operations,
        settings=settings(
            max_examples=30,
            # A sequence that fails has waited for something in vain; making it shorter would take minutes.
            phases=[Phase.explicit, Phase.generate],
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
