# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The documentation's site in a real browser, at the widths of a desk and of a phone. Screenshots go to build/screenshots."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import site
from tests.tools.tree import BUILD

from .browser import Browser

pytestmark = pytest.mark.timeout(300)

DESK, PHONE = 1280, 390
PICTURES = (
    "index",
    "quick-start",
    "messages",
    "from-terraform",
    "report",
    "faults",
    "reference/index",
    "reference/vault_extca_certificate_module",
)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/favicon.ico":  # browsers ask for one whatever the page says
            self.send_response(204)
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, freshly built."""
    return site.build(tmp_path_factory.mktemp("site") / "docs")


@pytest.fixture(scope="module")
def address(root: Path) -> Iterator[str]:
    """The site behind a web server."""
    handler = functools.partial(_Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Browser]:
    with Browser() as running:
        running.sources = (*running.sources, address)
        yield running


def found(browser: Browser) -> list[str]:
    """The titles of what a search has found, when it has ended."""
    # Sphinx says how many there are once all are there.
    browser.until("/(match|found)/i.test((document.querySelector('.search-summary') || {}).textContent || '')")
    titles: list[str] = browser.run(
        "[...document.querySelectorAll('#search-results ul.search li > a')].map((one) => one.textContent)"
    )
    return titles


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_no_page_scrolls_sideways(browser: Browser, root: Path, address: str, width: int) -> None:
    (BUILD / "screenshots").mkdir(parents=True, exist_ok=True)
    browser.size(width, 900)
    browser.complaints.clear()
    wide = []
    for path in sorted(root.rglob("*.html")):
        name = path.relative_to(root).with_suffix("").as_posix()
        browser.open(f"{address}{name}.html")
        if browser.run("document.documentElement.scrollWidth") > width:
            wide.append(name)
        # What is wider than the column is scrolled by itself: code, and tables of many columns.
        assert browser.run(
            "[...document.querySelectorAll('article pre, article table')]"
            ".every((one) => { for (let box = one; box; box = box.parentElement)"
            " if (getComputedStyle(box).overflowX === 'auto') return true; return one.scrollWidth <= innerWidth; })"
        ), name
        if name in PICTURES:
            browser.picture(BUILD / "screenshots" / f"site-{width}-{name.replace('/', '-')}.png")
    assert wide == []
    assert browser.complaints == []


def test_words_of_tables_stay_whole_on_a_phone(browser: Browser, address: str) -> None:
    """No word of prose in a table is broken: a word that is has more than one box."""
    browser.size(PHONE, 900)
    script = """(() => {
      const broken = [];
      for (const cell of document.querySelectorAll('article table.docutils :is(td, th) > p')) for (const node of cell.childNodes) {
        if (node.nodeType !== Node.TEXT_NODE) continue;
        for (const word of node.data.matchAll(/[a-z]{2,12}/gi)) {
          const range = document.createRange();
          range.setStart(node, word.index); range.setEnd(node, word.index + word[0].length);
          if (new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1) broken.push(word[0]);
        }
      }
      return broken;
    })()"""
    for name in ("from-terraform", "from-others", "performance", "report", "security"):
        browser.open(f"{address}{name}.html")
        assert browser.run(script) == [], name


def test_the_search_finds_what_there_is(browser: Browser, address: str) -> None:
    browser.size(DESK, 900)
    browser.complaints.clear()
    browser.open(f"{address}index.html")
    browser.run("document.querySelector('.sidebar-search').value = 'webroot'; document.querySelector('form').submit()")
    browser.until("location.pathname.endsWith('search.html') && document.readyState === 'complete'")
    titles = found(browser)
    assert any("vault_extca_certificate module" in title for title in titles), titles
    browser.open(f"{address}search.html?q=keycompromise")
    assert found(browser) == ["Coming from Vault Agent, certbot or community.crypto"]
    assert "keycompromise" in browser.run("document.querySelector('#search-results').textContent")
    browser.open(f"{address}search.html?q=zyzzyva")
    assert found(browser) == []
    assert browser.complaints == []


def test_the_navigation_opens_on_a_phone(browser: Browser, address: str) -> None:
    browser.size(PHONE, 844)
    browser.open(f"{address}quick-start.html")
    left = "document.querySelector('.sidebar-drawer').getBoundingClientRect().right"
    assert browser.run(left) <= 0
    browser.run("document.querySelector('label[for=__navigation]').click()")
    browser.until(f"{left} > 200")
    browser.run(
        "[...document.querySelectorAll('.sidebar-tree a')].find((one) => one.textContent === 'Error messages').click()"
    )
    browser.until("location.pathname.endsWith('messages.html')")
