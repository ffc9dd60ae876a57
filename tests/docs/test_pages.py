# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Pages agree with the code and with each other: links, options, the list of error messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.tools import messages, site
from tests.tools.tree import REPOSITORY

from .examples import pages

_LINK = re.compile(r"\]\((?!https?:|mailto:)(?P<target>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
_PAGES = [*pages(), *sorted((REPOSITORY / "docs" / "awx").glob("*.md"))]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: object) -> None:
    from pathlib import Path

    assert isinstance(page, Path)
    text = page.read_text()
    for link in _LINK.finditer(text):
        target = (page.parent / link["target"]).resolve() if link["target"] else page
        assert target.exists(), f"{page.name} links to {link['target']}, which does not exist"
        if link["anchor"]:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings]
            assert link["anchor"] in anchors, f"{page.name} links to #{link['anchor']} of {target.name}"


def test_every_page_is_in_the_navigation() -> None:
    listed = {name for _title, names in site.navigation((REPOSITORY / "docs/README.md").read_text()) for name in names}
    present = {
        path.relative_to(REPOSITORY / "docs").with_suffix("").as_posix() for path in REPOSITORY.glob("docs/**/*.md")
    }
    assert present - {"README"} == listed


def test_the_list_of_messages_is_the_code_s() -> None:
    assert messages.PAGE.read_text() == messages.page(), "run `make messages`"


def test_every_message_has_a_cause_and_a_remedy() -> None:
    found = messages.messages()
    assert len(found) > 150
    for message in found:
        cause, remedy = message.parts()
        assert len(cause) > 8, message
        assert len(remedy) > 10, message


def test_messages_are_read_as_they_are_printed() -> None:
    texts = {message.text for message in messages.messages()}
    assert "auth_method ‹method› needs ‹missing›." in texts
    assert (
        "Nobody has marked a challenge of at least one of ‹waiting› as fulfilled: publish it and run vault_extca_order_challenge_fulfilled."
        in texts
    )


def test_modules_that_pages_name_exist_and_have_the_options() -> None:
    modules = {path.stem for path in REPOSITORY.glob("plugins/modules/*.py")}
    for page in _PAGES:
        named = set(re.findall(r"`(vault_extca_[a-z_]+)`", page.read_text()))
        assert named <= modules, f"{page.name} names {named - modules}"


def _parts(documented: Any) -> Iterator[tuple[str, set[str]]]:
    """Every option and return value that has parts, with the names of its parts."""
    if isinstance(documented, dict):
        for name, said in documented.items():
            if isinstance(said, dict):
                parts = said.get("suboptions") or said.get("contains") or said.get("sample")
                if isinstance(parts, dict):
                    yield name, {str(part) for part in parts}
            yield from _parts(said)


def test_parts_of_options_and_return_values_are_called_what_they_are() -> None:
    known: dict[str, set[str]] = {}
    for path in REPOSITORY.glob("plugins/modules/*.py"):
        for text in re.findall(r'^(?:DOCUMENTATION|RETURN) = r"""(.*?)"""', path.read_text(), re.MULTILINE | re.DOTALL):
            for name, parts in _parts(yaml.safe_load(text)):
                known.setdefault(name, set()).update(parts)
    assert known["dns_01"] == {"record_name", "txt_value"}
    for page in _PAGES:
        for whole, part in re.findall(r"`(\w+)\.(\w+)`", page.read_text()):
            is_file = part in ("html", "json", "csv", "yml", "pem")
            assert is_file or part in known.get(whole, {part}), f"{page.name} names {whole}.{part}"


def test_the_support_table_is_whole() -> None:
    text = (REPOSITORY / "README.md").read_text()
    table = text.split("<!-- support table: make matrix -->")[1].split("<!-- end of support table -->")[0]
    assert "FAILED" not in table
    tried = set(re.findall(r"^\| (2\.\d+) ", table, re.MULTILINE))
    oldest = yaml.safe_load((REPOSITORY / "meta/runtime.yml").read_text())["requires_ansible"]
    assert re.sub(r"[>=]|\.0$", "", oldest) in tried
