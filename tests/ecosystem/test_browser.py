# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The report's page in a real browser. Screenshots go to build/screenshots."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.plugin_utils.order_report import make_report
from ansible_collections.certops.vault_extca.plugins.plugin_utils.report_page import render

from tests.tools.tree import BUILD, REPOSITORY

from .browser import Browser
from .orders import DAY, HOSTILE, NOW, fleet, invented

TEMPLATE = (REPOSITORY / "playbooks" / "templates" / "report.html.j2").read_text()
SHOWN = "[...document.querySelectorAll('#rows tr')].filter((row) => row.offsetParent !== null).length"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as running:
        yield running


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Any:
    """``page(sources…)`` opens a page on orders and returns the seconds that it took."""
    browser.size(1360, 1200)
    browser.complaints.clear()

    def opened(*orders: list[dict[str, Any]]) -> float:
        sources = [
            {"name": f"source {number}", "mount": "pki", "namespace": "", "orders": rows, "problem": ""}
            for number, rows in enumerate(orders)
        ]
        report = make_report(sources, renew_before="33%", stuck_after="1h", now=NOW)
        path = tmp_path / "report.html"
        path.write_text(render(report, TEMPLATE))
        return browser.open(path)

    return opened


def picture(browser: Browser, name: str) -> None:
    (BUILD / "screenshots").mkdir(parents=True, exist_ok=True)
    browser.picture(BUILD / "screenshots" / f"{name}.png")


@pytest.mark.parametrize("count", [0, 1, 50, 5000])
def test_it_opens_at_once_whatever_there_is_to_see(browser: Browser, page: Any, count: int) -> None:
    seconds = min(page(fleet(count)) for _attempt in range(3))
    print(f"{count} orders: {seconds:.2f} s, load {os.getloadavg()[0]:.1f}")
    picture(browser, f"report-{count}")
    assert seconds < 2
    assert browser.complaints == []
    assert browser.run("document.querySelectorAll('#rows tr').length") == count
    assert browser.run("document.getElementById('empty').hidden") is (count > 0)
    assert browser.run(SHOWN) <= 300


def test_sorting(browser: Browser, page: Any) -> None:
    page(fleet(50))
    ends = "[...document.querySelectorAll('#rows tr')].map((row) => row.dataset.end)"
    press = "document.querySelectorAll('th button')[2].click()"
    browser.run(press)
    dated = [end for end in browser.run(ends) if end]
    assert dated == sorted(dated)
    browser.run(press)
    turned = browser.run(ends)
    assert [end for end in turned if end] == sorted(dated, reverse=True)
    assert turned[-1] == ""  # what has no date is last, both ways
    assert browser.run("document.querySelectorAll('th')[2].ariaSort") == "descending"


def test_filters(browser: Browser, page: Any) -> None:
    page(fleet(50), fleet(9, 3))
    everything = browser.run("document.getElementById('all').click(); " + SHOWN)
    assert everything == 59
    type_in = "(() => {{ const box = document.getElementById('{0}'); box.value = '{1}'; box.dispatchEvent(new Event('{2}')); }})(); "
    assert browser.run(type_in.format("search", "nxdomain HOST1.", "input") + SHOWN) == 1
    assert browser.run(type_in.format("search", "nowhere", "input") + SHOWN) == 0
    assert browser.run("document.getElementById('empty').offsetParent !== null") is True
    browser.run("document.getElementById('all').click()")
    assert browser.run(type_in.format("source", "1", "change") + SHOWN) == 9
    browser.run("document.getElementById('all').click()")
    due = browser.run("Number(document.querySelector('.chip.due b').textContent)")
    browser.run("document.querySelectorAll('.chip:not(.due)').forEach((chip) => chip.click())")
    assert browser.run(SHOWN) == due
    browser.run("document.getElementById('all').click()")
    in_bar = browser.run("document.querySelector('.bar').click(); " + SHOWN)
    assert 0 < in_bar < 59
    assert browser.run("document.querySelector('.bar').click(); " + SHOWN) == 59


def test_all_rows_are_there_on_demand(browser: Browser, page: Any) -> None:
    page([invented(number) for number in range(400)])
    assert browser.run(SHOWN) == 300
    assert browser.run("document.getElementById('more').click(); " + SHOWN) == 400


def test_hostile_names_do_nothing(browser: Browser, page: Any) -> None:
    evil = invented(
        1, status="error", last_error=HOSTILE, identifiers=[HOSTILE] * 9, role_name=HOSTILE, order_id=HOSTILE
    )
    page([evil, invented(2, serial_number=HOSTILE)])
    assert browser.run("typeof window.hacked") == "undefined"
    assert browser.run("document.images.length") == 0
    assert HOSTILE in browser.run("document.querySelector('#rows .names').textContent")
    assert browser.complaints == []


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_can_be_read(browser: Browser, page: Any, dark: bool) -> None:
    """A contrast of 4.5 at least (WCAG 2.1, 1.4.3), light and dark."""
    browser.size(1360, 1200, dark=dark)
    page(fleet(50))
    picture(browser, "report-dark" if dark else "report-light")
    script = """(() => {
      const parse = (text) => text.match(/[\\d.]+/g).map(Number);
      const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
      const behind = (node) => { for (; node; node = node.parentElement) {
        const color = parse(getComputedStyle(node).backgroundColor);
        if (color.length < 4 || color[3] > 0) return color;
      } return [255, 255, 255]; };
      const texts = 'h1, h2, p, td, th button, .badge, .quiet, .mono, .tick, .scale, .chip';
      const bad = [];
      for (const node of document.querySelectorAll(texts)) {
        const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
        const ratio = (a + .05) / (b + .05);
        if (ratio < 4.5) bad.push([node.className || node.tagName, ratio]);
      }
      return bad;
    })()"""
    assert browser.run(script) == []


def test_conditions_differ_by_more_than_colour(browser: Browser, page: Any) -> None:
    page(fleet(50))
    texts = browser.run(
        "[...document.querySelectorAll('.chip')].map((chip) => chip.querySelector('.sign').textContent)"
    )
    assert len(set(texts)) == len(texts)
    patterns = browser.run(
        "[...document.querySelectorAll('.legend .part')].map((part) => getComputedStyle(part).backgroundImage)"
    )
    assert len(set(patterns)) == len(patterns) == 3


def test_a_phone_does_not_scroll_sideways(browser: Browser, page: Any) -> None:
    browser.size(390, 844)
    page(fleet(50))
    picture(browser, "report-phone")
    assert browser.run("document.documentElement.scrollWidth") <= 390
    # Nor does the table: a row stands as a block, with all that it says.
    assert browser.run("document.querySelector('.wide').scrollWidth <= document.querySelector('.wide').clientWidth")
    cells = (
        "[...document.querySelectorAll('#rows tr')].filter((row) => row.offsetParent)"
        ".map((row) => [...row.cells].filter((cell) => cell.offsetHeight).length)"
    )
    assert set(browser.run(cells)) == {6}
    browser.run("document.getElementById('orders').scrollIntoView()")
    picture(browser, "report-phone-rows")


@pytest.mark.parametrize("width", [390, 800, 1360])
def test_dates_of_the_timeline_keep_apart(browser: Browser, page: Any, width: int) -> None:
    """Those of a day, of a month, and of years."""
    browser.size(width, 844)
    for furthest in (1, 20, 88, 3000):
        page([invented(number, left=number * furthest * DAY / 9) for number in range(1, 10)])
        ends = browser.run(
            "[...document.querySelectorAll('.tick')].map((one) => one.getBoundingClientRect())"
            ".filter((box) => box.width).map((box) => [box.left, box.right])"
        )
        assert ends
        assert all(before[1] < after[0] for before, after in itertools.pairwise(ends)), (furthest, ends)
        assert ends[-1][1] <= width


def test_paper_has_all_rows_and_no_tools(browser: Browser, page: Any) -> None:
    browser.size(1100, 780, media="print")
    page([invented(number) for number in range(400)])
    picture(browser, "report-print")
    assert browser.run(SHOWN) == 400
    assert browser.run("document.querySelector('.tools').offsetParent") is None
    assert browser.run("document.documentElement.scrollWidth") <= 1100
    paper = browser.call("Page.printToPDF", preferCSSPageSize=True)
    assert len(paper["data"]) > 10_000
