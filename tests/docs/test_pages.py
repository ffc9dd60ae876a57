# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Pages agree with the code and with each other: links, options, the list of error messages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from devserver.answers import ANSWERS
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
        text = page.read_text()
        written = re.findall(r"`(?:\w+\[\]\.)?(\w+)\.(\w+)`", text) + re.findall(r"`(\w+): \{(\w+):", text)
        assert written or page.name != "from-others.md"
        for whole, part in written:
            is_file = part in ("html", "json", "csv", "yml", "pem")
            assert is_file or part in known.get(whole, {part}), f"{page.name} names {whole}.{part}"


# What release 5.12 of HashiCorp's provider has, as each table's first column names it: arguments, then attributes.
TERRAFORM = {
    "Mount": "path description local seal_wrap default_lease_ttl_seconds max_lease_ttl_seconds",
    "ACME account": "mount name directory_url email_contacts key_type eab_kid eab_key trusted_ca active_key_version"
    " default_nameserver",
    "Role": "mount name acme_account_name allowed_domains allowed_domain_options allowed_challenge_types"
    " csr_generate_key_type csr_identifier_population dns_provider_name dns_provider_type force creation_date last_update_date",
    "DNS provider": "mount name identifiers ttl creation_date last_updated_date access_key_id assume_role_arn external_id hosted_zone_id"
    " region secret_access_key_wo secret_access_key_wo_version client_id client_secret_wo client_secret_wo_version environment"
    " resource_group_name subscription_id tenant_id zone_name credentials_wo credentials_wo_version impersonate_service_account project"
    " nameserver tsig_algorithm tsig_key_name tsig_secret_wo tsig_secret_wo_version",
    "Order": "mount role_name identifiers csr order_id order_status creation_date next_work_date last_update last_error"
    " serial_number expires challenges",
    "Challenge": "mount role_name order_id challenge_type identifier token key_authorization status expires",
    "Certificate": "mount role_name order_id certificate ca_chain private_key serial_number",
}


def test_every_option_of_terraform_s_has_its_place() -> None:
    text = (REPOSITORY / "docs" / "from-terraform.md").read_text()
    sections = dict(re.findall(r"^## (.+)\n\n(?:.*\n)??((?:\|.*\n)+)", text, re.MULTILINE))
    for title, names in TERRAFORM.items():
        rows = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in sections[title].splitlines()]
        heading, rows = rows[0], rows[2:]
        assert sorted(one for row in rows for one in re.findall(r"`(\w+)`", row[0])) == sorted(names.split()), title
        modules = [name.replace("…", "vault_extca_order_challenge") for name in re.findall(r"`([\w…]+)`", heading[1])]
        known = {name for module in modules for name in _names(module)} | _names("vault_extca_acme_account_rotate_key")
        for row in rows:
            same = re.findall(r"`(\w+)`", row[0]) if re.match("the same|return values? of the same", row[1]) else []
            told = [
                name
                for name in re.findall(r"`(\w+)[:`]", row[1])
                if not name.startswith("vault_extca_") and name not in ("true", "none", "none`")
            ]
            assert {*same, *told} - known - {"30d"} == set(), f"{title}: {row}"


def _names(module: str) -> set[str]:
    """A module's options and return values, one level deep."""
    path = REPOSITORY / "plugins" / "modules" / f"{module}.py"
    told = {
        node.targets[0].id: yaml.safe_load(ast.literal_eval(node.value))  # type: ignore[attr-defined]
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("DOCUMENTATION", "RETURN")
    }
    names = set(told["DOCUMENTATION"]["options"])
    for fragment in told["DOCUMENTATION"]["extends_documentation_fragment"]:
        part = fragment.removeprefix("certops.vault_extca.").split(".")[0]
        found = re.findall(r"^  (\w+):$", (REPOSITORY / f"plugins/doc_fragments/{part}.py").read_text(), re.MULTILINE)
        names |= set(found)
    for name, value in told["RETURN"].items():
        names |= {name, *value.get("contains", {})}
    return names


def test_the_development_vault_s_answers_are_all_told() -> None:
    text = (REPOSITORY / "docs" / "development-vault.md").read_text()
    rows = re.findall(r"^\| (OQ-\d+) \| .+ \| (.+) \|$", text, re.MULTILINE)
    assert {question: tuple(re.findall(r"`([^`]+)`", answers)) for question, answers in rows} == ANSWERS


def test_the_support_table_is_whole() -> None:
    text = (REPOSITORY / "README.md").read_text()
    table = text.split("<!-- support table: make matrix -->")[1].split("<!-- end of support table -->")[0]
    assert "FAILED" not in table
    tried = set(re.findall(r"^\| (2\.\d+) ", table, re.MULTILINE))
    oldest = yaml.safe_load((REPOSITORY / "meta/runtime.yml").read_text())["requires_ansible"]
    assert re.sub(r"[>=]|\.0$", "", oldest) in tried
