# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Many orders in one task: waited for side by side over one connection, each with a result of its own."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Union

from .delivery import DESTINATION, deliver
from .extca_module import ExtcaModule
from .external_ca import ExternalCA, OrderReference, format_order_reference, parse_order_reference
from .order_results import certificate_result
from .orders import AwaitedCertificate, Issued, OrderFailed
from .polling import Clock, Patience, SystemClock
from .side_by_side import wait_for_all
from .vault_errors import ExtcaError, InvalidInput, LoginFailed, VaultError
from .vault_settings import MOST_AT_ONCE

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
# What tells one order's files from another's.
_DISTINCT = ("order_id", "identifier")
_NAMES = ("order_id", "role_name", "identifier")
_FAILURES_TOLD = 3
_FILE_NAME = re.compile(r"[\w-][\w.-]*", re.ASCII)


class MountedOrder(NamedTuple):
    """Which order, at which mount."""

    mount: str
    reference: OrderReference


Outcome = Union[Issued, ExtcaError]


def chosen_orders(params: Mapping[str, Any]) -> List[MountedOrder]:
    """The orders that the options name, each once. Raises InvalidInput."""
    if params["ids"] is None and params["order_ids"] is None:  # Ansible's own rules take null for a value
        raise InvalidInput("order_ids and ids are null; give one of them a value.")
    if params["ids"] is not None:
        chosen = [MountedOrder(*parse_order_reference(one)) for one in params["ids"]]
    else:
        reference = [OrderReference(params["role_name"], one) for one in params["order_ids"]]
        chosen = [MountedOrder(params["mount"].strip("/"), one) for one in reference]
    distinct = list(dict.fromkeys(chosen))
    seen: Dict[str, MountedOrder] = {}
    for one in distinct:
        other = seen.setdefault(one.reference.order_id, one)
        if other != one:
            raise InvalidInput(
                f"ids has order {one.reference.order_id} twice, as {format_order_reference(*other)} and as "
                f"{format_order_reference(*one)}. One of them is wrong."
            )
    return distinct


def obtain_certificates(
    external_ca: ExternalCA,
    orders: Sequence[MountedOrder],
    patience: Optional[Patience],
    at_once: int,
    *,
    certificate_format: str = "pem",
    clock: Clock = SystemClock(),
) -> List[Outcome]:
    """What became of each order; ``at_once`` requests at the same time at most. Raises what is no single order's failure."""
    if not 1 <= at_once <= MOST_AT_ONCE:
        raise InvalidInput(f"concurrency {at_once} is not between 1 and {MOST_AT_ONCE}.")
    awaited = [
        AwaitedCertificate(
            external_ca.on(order.mount),
            order.reference,
            patience,
            certificate_format=certificate_format,
            clock=clock,
        )
        for order in orders
    ]
    raised = wait_for_all([one.waiting for one in awaited], at_once, is_own=_is_own, clock=clock)
    return [_outcome(one, error) for one, error in zip(awaited, raised)]


def _outcome(awaited: AwaitedCertificate, error: Optional[Exception]) -> Outcome:
    if isinstance(error, ExtcaError):
        return error
    try:
        return awaited.issued()
    except (OrderFailed, VaultError) as failure:
        return failure


def _is_own(error: Exception) -> bool:
    """Whether an error says something of one order, and not of the connection that all share."""
    return isinstance(error, VaultError) and not isinstance(error, LoginFailed)


class ManyCertificates:
    """The results of many orders by order id, installed where ``destination`` says, with all failures told together."""

    def __init__(self, module: ExtcaModule) -> None:
        self._module = module
        self._template: Optional[Mapping[str, Any]] = module.params["destination"]
        self._taken: Dict[str, str] = {}  # file to order
        self.certificates: Dict[str, Dict[str, Any]] = {}
        self.diffs: List[Dict[str, Any]] = []

    def check_template(self, orders: Sequence[MountedOrder]) -> None:
        """Raise InvalidInput for a template that cannot be, or would give several orders the same file."""
        for kind, path in _paths(self._template).items():
            names = _PLACEHOLDER.findall(path)
            unknown = [name for name in names if name not in _NAMES]
            if unknown or "{" in _PLACEHOLDER.sub("", path):
                raise InvalidInput(
                    f"{kind} of destination is {path!r}; in braces may stand {', '.join(_NAMES)}, nothing else."
                )
            if len(orders) > 1 and not set(names) & set(_DISTINCT):
                raise InvalidInput(
                    f"{kind} of destination is {path!r}, the same file for all orders. Put {{order_id}} or {{identifier}} into it."
                )

    def add(self, order: MountedOrder, outcome: Outcome) -> None:
        """Take in what became of one order."""
        reference = order.reference
        try:
            if isinstance(outcome, ExtcaError):
                raise outcome
            result = self._deliver(certificate_result(order.mount, reference, outcome))
            if "diff" in result:
                self.diffs.append(
                    {"before_header": reference.order_id, "after_header": reference.order_id, **result.pop("diff")}
                )
        except ExtcaError as error:
            result = {
                "id": format_order_reference(order.mount, reference),
                **reference._asdict(),
                **error.details,
                "changed": False,
                "failed": True,
                "msg": self._module.explain(error),
            }
        self.certificates[reference.order_id] = result

    def result(self) -> Dict[str, Any]:
        """The module's result. Raises OrderFailed, with all of it among its details, if an order failed."""
        failed = [order_id for order_id, one in self.certificates.items() if one.get("failed")]
        result: Dict[str, Any] = {
            "changed": any(one["changed"] for one in self.certificates.values()),
            "certificates": self.certificates,
            "failed_orders": failed,
            **({"diff": self.diffs} if self.diffs else {}),
        }
        if failed:
            told = " ".join(self.certificates[order_id]["msg"] for order_id in failed[:_FAILURES_TOLD])
            more = len(failed) - _FAILURES_TOLD
            raise OrderFailed(
                f"{len(failed)} of {len(self.certificates)} orders failed. {told}"
                + (f" And {more} more: see certificates." if more > 0 else ""),
                **result,
            )
        return result

    def _deliver(self, result: Dict[str, Any]) -> Dict[str, Any]:
        if self._template is None or "certificate" not in result:
            return deliver(None, result, Patience(0))
        from .destination import Destination

        given = {**self._template, **{kind: _fill(path, result) for kind, path in _paths(self._template).items()}}
        destination = Destination(self._module, given)
        for path in destination.paths.values():
            other = self._taken.setdefault(path, result["order_id"])
            if other != result["order_id"]:
                raise InvalidInput(
                    f"{path} holds the certificate of order {other} already. Put {{order_id}} into destination."
                )
        with self._module.failures_raised():
            return deliver(destination, result, self._module.patience())


def _paths(template: Optional[Mapping[str, Any]]) -> Dict[str, str]:
    kinds = [name for name, option in DESTINATION["destination"]["options"].items() if option["type"] == "path"]
    return {kind: template[kind] for kind in kinds if template[kind]} if template else {}


def _fill(path: str, result: Mapping[str, Any]) -> str:
    """A path of the template, for one order. Nothing that is put in can lead to another directory."""
    values = {
        "order_id": result["order_id"],
        "role_name": result["role_name"],
        # As ACME clients name the files of wildcards; an asterisk would be a pattern to shells.
        "identifier": result["identifiers"][0].replace("*", "_"),
    }
    for name in _PLACEHOLDER.findall(path):
        if not _FILE_NAME.fullmatch(values[name]):
            raise InvalidInput(f"{name} {values[name]!r} cannot be part of a file's path.")
    return _PLACEHOLDER.sub(lambda found: values[found.group(1)], path)
