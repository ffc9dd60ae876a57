# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The pki-external-ca engine: its table of paths."""

from __future__ import annotations

from collections.abc import Sequence

from ..framework import MountContext, Operation, Path
from . import accounts, dns_providers, order_paths, orders, roles
from .order_steps import Steps
from .worker import Worker

_NAME = r"[a-zA-Z0-9_](?:[a-zA-Z0-9_.-]*[a-zA-Z0-9_])?"
_NAMED = rf"(?P<name>{_NAME})"
_ORDER = rf"role/{_NAMED}/order/(?P<order_id>{_NAME})"

_WRITES = frozenset({Operation.CREATE, Operation.UPDATE})
_CHANGES = _WRITES | {Operation.DELETE}


class ExternalCaBackend:
    """Vault's PKI External CA secrets engine, mounted once."""

    type = "pki-external-ca"
    states_under_way = tuple(state for state in orders.STATES if state not in orders.TERMINAL)

    def __init__(self, context: MountContext) -> None:
        self._orders = orders.Orders(context.storage)
        self._accounts = accounts.Accounts(context, self._orders)
        self._providers = dns_providers.DnsProviders(context)
        steps = Steps(context, self._orders, self._accounts, self._providers)
        self._worker = Worker(context.clock, self._orders, steps)
        self._roles = roles.Roles(context, self._accounts, self._providers, self._orders, self._worker)
        self._accounts.referring_roles = self._roles.of_account
        self._providers.referring_roles = self._roles.of_provider
        self._order_paths = order_paths.OrderPaths(context, self._orders, self._roles, self._accounts, self._worker)
        self.paths: Sequence[Path] = (
            *self._account_paths(),
            *self._role_paths(),
            *self._dns_paths(),
            *self._paths_of_orders(),
            *self._lookup_paths(),
        )

    def start(self) -> None:
        """Take up orders that are under way."""
        self._worker.start()

    def stop(self) -> None:
        """End all threads and connections."""
        self._worker.stop()
        self._accounts.close()

    def _account_paths(self) -> Sequence[Path]:
        handlers, base = self._accounts, "config/acme-account"
        return (
            Path(base, {Operation.LIST: handlers.list_names}),
            Path(
                f"{base}/{_NAMED}",
                {
                    Operation.READ: handlers.read,
                    Operation.UPDATE: handlers.write,
                    Operation.DELETE: handlers.delete,
                },
                accounts.WRITE_FIELDS,
                exists=handlers.exists,
                blocking=_CHANGES,
            ),
            Path(
                f"{base}/{_NAMED}/import",
                {Operation.UPDATE: handlers.import_account},
                accounts.IMPORT_FIELDS,
                exists=handlers.exists,
                blocking=_WRITES,
            ),
            Path(
                f"{base}/{_NAMED}/rotate-key",
                {Operation.UPDATE: handlers.rotate_key},
                accounts.ROTATE_FIELDS,
                blocking=_WRITES,
            ),
        )

    def _role_paths(self) -> Sequence[Path]:
        handlers = self._roles
        return (
            Path("role", {Operation.LIST: handlers.list_names}),
            Path(
                f"role/{_NAMED}",
                {
                    Operation.READ: handlers.read,
                    Operation.UPDATE: handlers.write,
                    Operation.DELETE: handlers.delete,
                },
                roles.WRITE_FIELDS,
                exists=handlers.exists,
                blocking=_CHANGES,
            ),
        )

    def _dns_paths(self) -> Sequence[Path]:
        handlers, base = self._providers, "config/dns"
        types = "|".join(dns_providers.TYPES)
        return (
            Path(base, {Operation.LIST: handlers.list_all}),
            Path(f"{base}/(?P<type>{types})", {Operation.LIST: handlers.list_type}, dns_providers.LIST_FIELDS),
            *(
                Path(
                    f"{base}/(?P<type>{provider_type})/{_NAMED}",
                    {
                        Operation.READ: handlers.read,
                        Operation.UPDATE: handlers.write,
                        Operation.DELETE: handlers.delete,
                    },
                    dns_providers.write_fields(provider_type),
                    exists=handlers.exists,
                    blocking=_CHANGES,
                )
                for provider_type in dns_providers.TYPES
            ),
            Path(
                "dns/test/workflow",
                {Operation.UPDATE: handlers.test_workflow},
                dns_providers.TEST_FIELDS,
                blocking=_WRITES,
            ),
        )

    def _paths_of_orders(self) -> Sequence[Path]:
        handlers = self._order_paths
        return (
            Path(
                f"role/{_NAMED}/new-order",
                {Operation.UPDATE: handlers.new_order},
                order_paths.NEW_FIELDS,
                blocking=_WRITES,
            ),
            Path(f"role/{_NAMED}/active-orders", {Operation.LIST: handlers.active}, order_paths.ROLE_FIELDS),
            Path(f"role/{_NAMED}/cached", {Operation.READ: handlers.cached}, order_paths.CACHED_FIELDS),
            Path(f"{_ORDER}/status", {Operation.READ: handlers.status}, order_paths.ORDER_FIELDS),
            Path(
                f"{_ORDER}/challenge",
                {Operation.READ: handlers.challenge},
                order_paths.CHALLENGE_FIELDS,
                blocking=frozenset({Operation.READ}),  # it may have to settle which key the account has
            ),
            Path(
                f"{_ORDER}/fulfilled-challenge",
                {Operation.UPDATE: handlers.fulfilled},
                order_paths.CHALLENGE_FIELDS,
                blocking=_WRITES,
            ),
            Path(f"{_ORDER}/fetch-cert", {Operation.READ: handlers.fetch}, order_paths.FETCH_FIELDS),
            Path(
                f"{_ORDER}/revoke",
                {Operation.UPDATE: handlers.revoke},
                order_paths.REVOKE_FIELDS,
                blocking=_WRITES,
            ),
        )

    def _lookup_paths(self) -> Sequence[Path]:
        handlers = self._order_paths
        return (
            Path(
                f"lookup/order/(?P<order_id>{_NAME})",
                {Operation.READ: handlers.lookup_order},
                order_paths.LOOKUP_ORDER_FIELDS,
            ),
            Path(
                "lookup/cert/(?P<serial>[0-9a-fA-F:-]+)",
                {Operation.READ: handlers.lookup_cert},
                order_paths.LOOKUP_CERT_FIELDS,
            ),
            Path("lookup/orders", {Operation.LIST: handlers.list_orders}),
            Path("lookup/orders/recent", {Operation.LIST: handlers.list_recent}, order_paths.RECENT_FIELDS),
        )
