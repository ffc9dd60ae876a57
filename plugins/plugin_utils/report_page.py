# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The report as a page: what a template needs beside the rows, and the template with everything in it escaped."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any, Dict, List, Mapping

from jinja2 import Environment, StrictUndefined, TemplateError

from ..module_utils.durations import parse_moment

BARS = 60
# Conditions that the timeline shows, the lowest part of a bar first.
SHOWN = ("good", "due", "expired")


def render(report: Mapping[str, Any], template: str) -> str:
    """The page. ``template`` is Jinja; every value that it prints is escaped. Raises ValueError for one that cannot be filled."""
    values = {
        "report": report,
        "timeline": timeline(report),
        "rows": [_with_bar(row, report) for row in report["orders"]],
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    try:
        return environment.from_string(template).render(values)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        raise ValueError(
            f"the template cannot be filled{f', line {line}' if line else ''}: {str(error.message).rstrip('.')}"
        ) from None


def timeline(report: Mapping[str, Any]) -> Dict[str, Any]:
    """How many certificates that still count expire when: at most 60 bars, in percent of width and height; {} for none."""
    rows = [(row, parse_moment(row["not_after"])) for row in report["orders"] if row["condition"] in SHOWN]
    ends = [(row["condition"], end) for row, end in rows if end is not None]
    now = parse_moment(report["generated"])
    if not ends or now is None:
        return {}
    first, last = min([now, *(end for condition, end in ends)]), max([now, *(end for condition, end in ends)])
    days = max(1, math.ceil((last - first) / timedelta(days=BARS)))
    start = first.replace(hour=0, minute=0, second=0, microsecond=0)
    count = int((last - start).total_seconds() // (days * 86400)) + 1
    columns = [dict.fromkeys(SHOWN, 0) for number in range(count)]
    for condition, end in ends:
        columns[int((end - start).total_seconds() // (days * 86400))][condition] += 1
    highest = max(sum(counts.values()) for counts in columns)
    width = 100 / count
    return {
        "days": days,
        "highest": highest,
        "now": _percent((now - start) / timedelta(days=days * count)),
        "ticks": _ticks(start, days, count),
        "bars": [
            _bar(counts, number, width, highest, start + timedelta(days=days * number), days)
            for number, counts in enumerate(columns)
        ],
    }


def _bar(
    counts: Mapping[str, int], number: int, width: float, highest: int, start: datetime, days: int
) -> Dict[str, Any]:
    parts: List[Dict[str, Any]] = []
    below = 0.0
    for condition in SHOWN:
        height = 100 * counts[condition] / highest
        if height:
            parts.append({"condition": condition, "bottom": round(below, 3), "height": round(height, 3)})
        below += height
    end = start + timedelta(days=days)
    told = ", ".join(f"{counts[condition]} {condition}" for condition in SHOWN if counts[condition])
    return {
        "left": round(number * width, 3),
        "width": round(width, 3),
        "from": start.strftime("%Y-%m-%d"),
        "until": end.strftime("%Y-%m-%d"),
        "label": f"{start:%Y-%m-%d}{'' if days == 1 else f' to {end - timedelta(days=1):%Y-%m-%d}'}: {told or 'nothing'}",
        "total": sum(counts.values()),
        "parts": parts,
    }


def _ticks(start: datetime, days: int, count: int) -> List[Dict[str, Any]]:
    step = max(1, count // 6)
    return [
        {"left": round(100 * number / count, 3), "label": (start + timedelta(days=days * number)).strftime("%d %b %Y")}
        for number in range(0, count, step)
        if number <= count * 0.93
    ]


def _with_bar(row: Mapping[str, Any], report: Mapping[str, Any]) -> Dict[str, Any]:
    """A row, with how much of its certificate's life is over, and when in it the renewal begins, in percent."""
    begin, end, renewal, now = (
        parse_moment(moment)
        for moment in (row["not_before"], row["not_after"], row["next_renewal"], report["generated"])
    )
    if begin is None or end is None or renewal is None or now is None or end <= begin:
        return {**row, "life": None}
    life = {"over": _percent((now - begin) / (end - begin)), "renewal": _percent((renewal - begin) / (end - begin))}
    return {**row, "life": life}


def _percent(share: float) -> float:
    return round(100 * min(max(share, 0.0), 1.0), 2)
