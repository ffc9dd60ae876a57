# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The site that ``make docs`` builds: whole, with every link leading somewhere, and nothing in it loaded from elsewhere."""

from __future__ import annotations

import html.parser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.tools import site
from tests.tools.tree import REPOSITORY

pytestmark = pytest.mark.timeout(300)


class Page(html.parser.HTMLParser):
    """What a page has: ids, links, and things that a browser loads with it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.ids |= {value for key in ("id", "name") if (value := named.get(key))}
        if tag == "a":
            self.links += [value for value in [named.get("href")] if value]
        elif tag in ("script", "link", "img", "source", "iframe"):
            loads = [named.get("src"), named.get("href")]
            self.loads += [value for value in loads if value and named.get("rel") not in ("canonical", "author")]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Path, Page]]:
    """The site, built where nothing answers beyond this machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.setenv(name, "http://127.0.0.1:9")
        root = site.build(tmp_path_factory.mktemp("site") / "docs")
    return root, {path: Page(path.read_text()) for path in sorted(root.rglob("*.html"))}


def test_every_page_and_every_module_has_its_page(built: tuple[Path, dict[Path, Page]]) -> None:
    root, found = built
    present = {path.relative_to(root).as_posix() for path in found}
    for page in (REPOSITORY / "docs").rglob("*.md"):
        name = page.relative_to(REPOSITORY / "docs").with_suffix(".html").as_posix()
        assert ("index.html" if name == "README.html" else name) in present
    for path in (REPOSITORY / "plugins" / "modules").glob("vault_extca_*.py"):
        assert f"reference/{path.stem}_module.html" in present
    for path in (REPOSITORY / "plugins" / "filter").glob("*.yml"):
        assert f"reference/{path.stem}_filter.html" in present
    assert {"reference/certificate_lookup.html", "reference/certificate_role.html"} <= present


def test_links_of_the_site_lead_somewhere(built: tuple[Path, dict[Path, Page]]) -> None:
    _root, found = built
    broken = []
    for path, page in found.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                broken.append(f"{path.name}: {link}")
            elif target in found and parts.fragment and unquote(parts.fragment) not in found[target].ids:
                broken.append(f"{path.name}: {link} (no such place on the page)")
    assert broken == []
    assert sum(len(page.links) for page in found.values()) > 1000


def test_links_out_of_the_repository_s_pages_name_files_of_it(built: tuple[Path, dict[Path, Page]]) -> None:
    _root, found = built
    outward = {link for page in found.values() for link in page.links if link.startswith(site.REPOSITORY_URL)}
    assert outward
    for link in outward:
        path = REPOSITORY / urlsplit(link.removeprefix(site.REPOSITORY_URL)).path
        assert path.exists(), link


def test_pages_load_nothing_from_elsewhere_and_show_no_errors(built: tuple[Path, dict[Path, Page]]) -> None:
    _root, found = built
    for path, page in found.items():
        assert [one for one in page.loads if urlsplit(one).netloc] == [], path.name
        text = path.read_text()
        for mistake in ('class="system-message', "problematic", "this-will-duplicate-information", 'class="contents'):
            assert mistake not in text, f"{path.name} has {mistake}"
