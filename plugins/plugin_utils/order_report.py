# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What the orders of one mount or many come to: which certificates serve, which are due, which orders have failed or are stuck."""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence

from ..module_utils import order_states
from ..module_utils.durations import (
    RenewBefore,
    format_moment,
    parse_duration,
    parse_moment,
    parse_renew_before,
    say_duration,
)
from ..module_utils.orders import unfulfilled

# Worst first. Of one condition with the next, the first is the one to look at.
CONDITIONS = (
    "expired",
    "failed",
    "due",
    "stuck",
    "under way",
    "unknown",
    "good",
    "revoked",
    "superseded",
)
# What is there to see; nothing else of an order leaves this file, so that no key material can.
COLUMNS = (
    "source",
    "namespace",
    "mount",
    "role_name",
    "order_id",
    "identifiers",
    "request",
    "order_status",
    "condition",
    "reason",
    "serial_number",
    "not_before",
    "not_after",
    "next_renewal",
    "creation_date",
    "last_update",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Row = Dict[str, Any]


def make_report(
    sources: Iterable[Mapping[str, Any]], *, renew_before: str, stuck_after: str, now: Optional[datetime] = None
) -> Dict[str, Any]:
    """The report on some sources, each with ``name``, ``mount``, ``namespace``, ``orders`` and ``problem`` (a text or empty).

    Raises ValueError for durations that are none.
    """
    now = now or datetime.now(timezone.utc)
    share, patience = parse_renew_before(renew_before), timedelta(seconds=parse_duration(stuck_after))
    rows: List[Row] = []
    told: List[Dict[str, Any]] = []
    for number, source in enumerate(sources):
        of_source = [
            _row(source, order, share, patience, now)
            for order in {one["order_id"]: one for one in source["orders"]}.values()
        ]
        _mark_superseded(of_source)
        for row in of_source:
            row["source_number"] = number
        rows += of_source
        told.append({key: str(source.get(key) or "") for key in ("name", "namespace", "mount", "problem")})
    rows.sort(
        key=lambda row: (CONDITIONS.index(row["condition"]), row["not_after"] or row["last_update"], row["order_id"])
    )
    counts = Counter(row["condition"] for row in rows)
    return {
        "generated": format_moment(now),
        "renew_before": str(renew_before),
        "stuck_after": str(stuck_after),
        "sources": told,
        "counts": {condition: counts[condition] for condition in CONDITIONS},
        "orders": rows,
    }


def _row(
    source: Mapping[str, Any], order: Mapping[str, Any], share: RenewBefore, patience: timedelta, now: datetime
) -> Row:
    row: Row = {key: order.get(key) or "" for key in COLUMNS}
    row.update(
        source=str(source["name"]),
        namespace=str(source.get("namespace") or ""),
        mount=str(source["mount"]),
        identifiers=[str(one) for one in order.get("identifiers") or []],
        request="csr" if order.get("csr") else "identifiers",
        next_renewal="",
    )
    not_before, not_after = parse_moment(row["not_before"]), parse_moment(row["not_after"])
    renewal = share.moment(not_before, not_after) if not_before and not_after else None
    if renewal is not None:
        row["next_renewal"] = format_moment(renewal)
    row["condition"], row["reason"] = _condition(order, not_after, renewal, patience, now)
    return row


def _condition(
    order: Mapping[str, Any],
    not_after: Optional[datetime],
    renewal: Optional[datetime],
    patience: timedelta,
    now: datetime,
) -> tuple[str, str]:
    status, error = str(order.get("order_status") or ""), str(order.get("last_error") or "")
    if status == order_states.REVOKED:
        return "revoked", error
    if status == order_states.COMPLETED:
        if not_after is None or renewal is None:
            return "unknown", "Vault did not tell the certificate's validity"
        if not_after <= now:
            return "expired", f"expired {say_duration((now - not_after).total_seconds())} ago"
        left = f"expires in {say_duration((not_after - now).total_seconds())}"
        return ("due", left) if renewal <= now else ("good", left)
    if status in order_states.TERMINAL:
        return "failed", error or f"the order ended as {status}"
    since = parse_moment(str(order.get("last_update") or "")) or parse_moment(str(order.get("creation_date") or ""))
    if since is None or now - since < patience:
        return "under way", error
    return (
        "stuck",
        f"{error or _waits_for(order)}; nothing has changed for {say_duration((now - since).total_seconds())}",
    )


def _waits_for(order: Mapping[str, Any]) -> str:
    challenges = order.get("challenges") or {}
    waiting = unfulfilled({**order, "challenges": challenges}) if order.get("order_status") else []  # type: ignore[typeddict-item]
    if order.get("order_status") == order_states.AWAITING_CHALLENGE_FULFILLMENT and waiting:
        more = f" and {len(waiting) - 3} more" if len(waiting) > 3 else ""
        return f"nobody has fulfilled a challenge of {', '.join(waiting[:3])}{more}"
    return f"still {order.get('order_status')}"


def _mark_superseded(rows: Sequence[Row]) -> None:
    """Of the orders of one role for the same names, what a later one has made up for concerns nobody any more."""
    newest: Dict[Any, str] = {}
    for row in rows:
        if row["condition"] in ("good", "due"):
            key = (row["role_name"], frozenset(row["identifiers"]))
            newest[key] = max(newest.get(key, ""), row["not_after"])
    began = {
        (key, row["not_after"]): row["creation_date"]
        for row in rows
        for key in [(row["role_name"], frozenset(row["identifiers"]))]
        if row["condition"] in ("good", "due") and row["not_after"] == newest[key]
    }
    for row in rows:
        key = (row["role_name"], frozenset(row["identifiers"]))
        if key not in newest:
            continue
        older_certificate = row["condition"] in ("good", "due", "expired") and row["not_after"] < newest[key]
        older_failure = row["condition"] in ("failed", "stuck") and row["creation_date"] < began[(key, newest[key])]
        if older_certificate or older_failure:
            row["condition"] = "superseded"


def as_csv(report: Mapping[str, Any]) -> str:
    """The report's orders as CSV (RFC 4180) with a line of headings; what a spreadsheet would compute is made text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in report["orders"]:
        cells = [" ".join(row[key]) if key == "identifiers" else str(row[key]) for key in COLUMNS]
        writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
    return out.getvalue()


def to_renew(report: Mapping[str, Any]) -> List[Row]:
    """The rows whose certificate is due or has expired, once for each role and set of names, the most urgent first.

    Those of a host's own request are that host's: only it has the key.
    """
    found: Dict[Any, Row] = {}
    for row in sorted(report["orders"], key=lambda one: str(one["not_after"])):
        if row["condition"] in ("due", "expired") and row["request"] == "identifiers":
            found[(row["source_number"], row["role_name"], frozenset(row["identifiers"]))] = row
    return sorted(found.values(), key=lambda one: str(one["not_after"]))
