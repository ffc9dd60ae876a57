# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The report: what it says, its page, and its playbook and that of the renewals against a development Vault."""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.certops.vault_extca.plugins.filter.order_report import FilterModule
from ansible_collections.certops.vault_extca.plugins.module_utils.durations import format_moment
from ansible_collections.certops.vault_extca.plugins.plugin_utils.order_report import (
    COLUMNS,
    CONDITIONS,
    as_csv,
    make_report,
    to_renew,
)
from ansible_collections.certops.vault_extca.plugins.plugin_utils.report_page import render, timeline

from tests.behaviour.harness import Bench, Engine, Played, fresh_name, play
from tests.testbed import Pebble, PebbleOptions
from tests.tools.tree import REPOSITORY

from .orders import DAY, HOSTILE, NOW, fleet, invented

TEMPLATE = (REPOSITORY / "playbooks" / "templates" / "report.html.j2").read_text()

pytestmark = pytest.mark.timeout(300)


def report_on(orders: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    source = {"name": "main", "mount": "pki-external-ca", "namespace": "", "orders": orders, "problem": "", **changes}
    return make_report([source], renew_before="33%", stuck_after="1h", now=NOW)


def condition_of(*orders: dict[str, Any]) -> list[tuple[str, str]]:
    """Condition and reason of each order, in the order given."""
    rows = {row["order_id"]: row for row in report_on(list(orders))["orders"]}
    return [(rows[order["order_id"]]["condition"], rows[order["order_id"]]["reason"]) for order in orders]


CHALLENGES = {"a.test": [{"challenge_type": "http-01", "challenge_status": "pending"}]}


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (invented(1, left=60 * DAY), ("good", "expires in 60 days")),
        (invented(1, left=29 * DAY), ("due", "expires in 29 days")),
        (invented(1, left=-3 * DAY), ("expired", "expired 3 days ago")),
        (invented(1, status="revoked"), ("revoked", "")),
        (invented(1, not_after=""), ("unknown", "Vault did not tell the certificate's validity")),
        (invented(1, status="error", last_error="no such name"), ("failed", "no such name")),
        (invented(1, status="expired"), ("failed", "the order ended as expired")),
        (invented(1, status="submitted", last_update=format_moment(NOW)), ("under way", "")),
        (invented(1, status="submitted"), ("stuck", "still submitted; nothing has changed for 5 h")),
        (
            invented(1, status="awaiting-challenge-fulfillment", identifiers=["a.test"], challenges=CHALLENGES),
            ("stuck", "nobody has fulfilled a challenge of a.test; nothing has changed for 5 h"),
        ),
    ],
)
def test_each_condition_has_its_reason(order: dict[str, Any], expected: tuple[str, str]) -> None:
    assert condition_of(order) == [expected]


def test_a_later_certificate_for_the_same_names_supersedes() -> None:
    same: dict[str, Any] = {"role_name": "web", "identifiers": ["a.test", "b.test"]}
    turned: dict[str, Any] = {"role_name": "web", "identifiers": ["b.test", "a.test"]}
    old = invented(1, left=2 * DAY, **same)
    new = invented(2, left=80 * DAY, **turned)
    other_role = invented(3, left=2 * DAY, **{**same, "role_name": "mail"})
    failed_before = invented(4, status="error", **same, creation_date=format_moment(NOW - 20 * DAY))
    failed_since = invented(5, status="error", **same, creation_date=format_moment(NOW - DAY))
    found = [condition for condition, _why in condition_of(old, new, other_role, failed_before, failed_since)]
    assert found == ["superseded", "good", "due", "superseded", "failed"]


def test_what_is_due_is_renewed_once_and_not_what_a_host_has_the_key_of() -> None:
    same: dict[str, Any] = {"role_name": "web", "identifiers": ["a.test"]}
    orders = [
        invented(1, left=2 * DAY, **same),
        invented(2, left=-2 * DAY, **same),
        invented(3, left=-5 * DAY),
        invented(4, left=DAY, csr="-----BEGIN CERTIFICATE REQUEST-----"),
        invented(5),
    ]
    assert [row["order_id"] for row in to_renew(report_on(orders))] == [orders[2]["order_id"], orders[0]["order_id"]]


def test_nothing_of_an_order_is_reported_but_its_public_columns() -> None:
    report = report_on([invented(1, private_key="SECRET", csr="REQUEST", certificate="CERT")], token="SECRET")
    for text in (json.dumps(report), render(report, TEMPLATE), as_csv(report)):
        assert "SECRET" not in text
        assert "REQUEST" not in text
    assert set(report["orders"][0]) == {*COLUMNS, "source_number"}
    assert list(report["counts"]) == list(CONDITIONS)


def test_csv_can_be_read_and_computes_nothing() -> None:
    order = invented(
        1, status="error", last_error='=cmd|"/c calc"!A0, "quoted"\nnext line', identifiers=["a.test", "b.test"]
    )
    (row,) = csv.DictReader(io.StringIO(as_csv(report_on([order]))))
    assert row["reason"] == '\'=cmd|"/c calc"!A0, "quoted"\nnext line'
    assert row["identifiers"] == "a.test b.test"


@pytest.mark.parametrize("bad", [{"renew_before": "soon"}, {"stuck_after": "later"}])
def test_bad_durations_are_named(bad: dict[str, str]) -> None:
    options: dict[str, Any] = {"renew_before": "33%", "stuck_after": "1h", **bad}
    with pytest.raises(ValueError, match="soon|later"):
        make_report([], **options)


def test_the_timeline_counts_each_certificate_once() -> None:
    report = report_on(fleet(500))
    line = timeline(report)
    serving = sum(report["counts"][condition] for condition in ("good", "due", "expired"))
    assert sum(column["total"] for column in line["bars"]) == serving
    assert len(line["bars"]) <= 61
    assert 0 < line["now"] < 100
    assert timeline(report_on([])) == {}


class Page(HTMLParser):
    """A page as a parser sees it: elements, whether they are closed, and what they refer to."""

    VOID = ("meta", "input", "col", "br", "link", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: dict[str, int] = {}
        self.refers: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.refers += [value or "" for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]
        self.handlers += [name for name, _value in attrs if name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("count", [0, 1, 50, 5000])
def test_the_page_is_whole_and_needs_nothing_else(count: int) -> None:
    text = render(report_on(fleet(count)), TEMPLATE)
    page = Page(text)
    assert page.open == []
    assert page.refers == []
    assert page.count["tr"] == count + 1
    assert "url(" not in text
    assert "http://" not in text
    assert "default-src 'none'" in text
    assert ("There are no orders yet." in text) is (count == 0)


def test_hostile_names_are_text() -> None:
    evil = invented(
        1, status="error", last_error=HOSTILE, identifiers=[HOSTILE] * 9, role_name=HOSTILE, order_id=HOSTILE
    )
    text = render(
        report_on([evil, invented(2, serial_number=HOSTILE)], name=HOSTILE, problem=HOSTILE, mount=HOSTILE), TEMPLATE
    )
    page = Page(text)
    assert page.count["script"] == 1
    assert "img" not in page.count
    assert page.handlers == []
    assert "{{ 7*7 }}" in text  # nothing of it is taken for a template


def run(engine: Engine, directory: Path, playbook: str, *arguments: str, **variables: Any) -> Played:
    """Run one of the collection's playbooks for a mount."""
    given = directory / "variables.yml"
    given.write_text(
        yaml.safe_dump({"report_mounts": [{"mount": engine.mount}], "report_directory": str(directory), **variables})
    )
    text = yaml.safe_dump([{"import_playbook": f"certops.vault_extca.{playbook}"}])
    return play(text, directory, engine.bench, "-e", f"@{given}", *arguments)


def test_the_playbooks_report_what_there_is_and_renew_what_is_due(engine: Engine, tmp_path: Path) -> None:
    names = [fresh_name(), fresh_name()]
    for name in names:
        engine.issue(name)
    failed = fresh_name()
    with engine.bench.scripts({"role": "web", "fail": "the CA said no", "in": "processing-challenge"}):
        order_id = engine.order(failed)
        engine.fulfil(order_id)
        deadline = time.monotonic() + 20
        while engine.status(order_id)["order_status"] != "error" and time.monotonic() < deadline:
            time.sleep(0.05)
    mounts = [{"mount": engine.mount}, {"mount": "nowhere", "name": "gone", "token": "s.planted-token"}]
    played = run(engine, tmp_path, "report", report_mounts=mounts)
    assert played.status != 0  # one mount could not be read, and the others were reported on all the same
    assert "s.planted-token" not in played.output
    report = json.loads((tmp_path / "certificates.json").read_text())
    assert {key: count for key, count in report["counts"].items() if count} == {"good": 2, "failed": 1}, played.output
    assert [bool(source["problem"]) for source in report["sources"]] == [False, True]
    page, table = (tmp_path / "certificates.html").read_text(), (tmp_path / "certificates.csv").read_text()
    assert "the CA said no" in page
    assert all(name in page and name in table for name in [*names, failed])
    assert "PRIVATE KEY" not in page + table + json.dumps(report) + played.output

    strict = run(engine, tmp_path, "report", report_fail_on=["expired", "good"])
    assert strict.status != 0
    assert "2 orders are good" in strict.output
    one = run(engine, tmp_path, "report", report_fail_on="failed")
    assert "1 order is failed" in one.output
    mistaken = run(engine, tmp_path, "report", report_fail_on=["expierd"])
    assert mistaken.status != 0
    assert (
        "report_fail_on names expierd, which is no condition of an order. Give a list of: expired, failed"
        in mistaken.output
    )

    # With a renew_before longer than its life, everything is due; the ACME server remembers the proofs.
    due = {"report_renew_before": "3000d", "renew_at_once": 1}
    before = engine.api("LIST", "lookup/orders")["keys"]
    checked = run(engine, tmp_path, "renew", "--check", **due)
    assert checked.status == 0, checked.output
    assert engine.api("LIST", "lookup/orders")["keys"] == before
    renewed = run(engine, tmp_path, "renew", **due)
    assert renewed.status == 0, renewed.output
    assert len(engine.api("LIST", "lookup/orders")["keys"]) == len(before) + 2
    assert "PRIVATE KEY" not in renewed.output


def test_a_renewal_that_fails_fails_the_play_and_not_the_others(engine: Engine, tmp_path: Path) -> None:
    for name in (fresh_name(), fresh_name()):
        engine.issue(name)
    with engine.bench.scripts({"role": "web", "fail": "the CA said no", "in": "submitted"}):
        played = run(engine, tmp_path, "renew", report_renew_before="3000d", renew_wait_timeout=20)
    assert played.status != 0
    assert played.output.count("the CA said no") >= 2
    nothing = run(engine, tmp_path, "renew", report_renew_before="1s")
    assert nothing.status == 0, nothing.output


PUBLISH = """
- name: Ask
  certops.vault_extca.vault_extca_order_challenge_info:
    mount: "{{{{ renewal_mount.mount }}}}"
    role_name: "{{{{ renewal.role_name }}}}"
    order_id: "{{{{ renewal_order.order_id }}}}"
    challenge_type: http-01
  register: proof
- name: Publish
  ansible.builtin.uri:
    url: {challtestsrv}/add-http01
    method: POST
    body_format: json
    body: {{token: "{{{{ item.challenge_token }}}}", content: "{{{{ item.key_authorization }}}}"}}
  loop: "{{{{ proof.challenges }}}}"
- name: Tell
  certops.vault_extca.vault_extca_order_challenge_fulfilled:
    mount: "{{{{ renewal_mount.mount }}}}"
    role_name: "{{{{ renewal.role_name }}}}"
    order_id: "{{{{ renewal_order.order_id }}}}"
    challenge_type: http-01
"""


def test_tasks_of_the_user_s_publish_the_challenges_of_a_renewal(bench: Bench, tmp_path: Path) -> None:
    """At an ACME server that remembers no proof."""
    chall = bench.challtestsrv
    tasks = tmp_path / "publish.yml"
    tasks.write_text(PUBLISH.format(challtestsrv=chall.url))
    options = PebbleOptions(
        dns_server=chall.dns_server, http_port=chall.http_port, tls_port=chall.tls_port, authz_reuse=0
    )
    with Pebble(bench.ca, options) as pebble:
        engine = Engine(Bench(bench.ca, pebble, chall, bench.vault), "eco-forgetful")
        bench.api("POST", f"sys/mounts/{engine.mount}", {"type": "pki-external-ca"})
        engine.furnish()
        name = fresh_name()
        engine.issue(name)
        due = {"report_renew_before": "3000d", "renew_challenge_tasks": str(tasks)}
        without = run(engine, tmp_path, "renew", **{**due, "renew_challenge_tasks": "", "renew_wait_timeout": 3})
        assert without.status != 0
        assert "awaiting-challenge-fulfillment after 3 s" in without.output, without.output
        renewed = run(engine, tmp_path, "renew", **due, renew_wait_timeout=30)
        assert renewed.status == 0, renewed.output
        # The order that the first run made goes on.
        assert len(engine.api("LIST", "lookup/orders")["keys"]) == 2
        bench.api("DELETE", f"sys/mounts/{engine.mount}")


def test_ages_are_whole_days() -> None:
    assert condition_of(invented(1, left=timedelta(hours=47)))[0][1] == "expires in 47 h"


def test_the_filters_say_what_is_wrong() -> None:
    filters = FilterModule().filters()
    source = {"name": "main", "mount": "pki", "orders": []}
    assert filters["order_report"]([source])["orders"] == []
    with pytest.raises(AnsibleFilterError, match=r"certops\.vault_extca\.order_report: .*soon"):
        filters["order_report"]([source], renew_before="soon")


WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("order_report", ("main",), "It takes a list of dictionaries with name, mount and orders"),
    ("order_report", ([{"name": "main", "orders": []}, {"name": "b"}],), "the key 'orders' is missing. It takes"),
    ("order_report", ([{"name": "m", "mount": "m", "orders": [{"order_id": "1", "not_before": 5}]}],), "It takes"),
    ("order_report_csv", ([],), "It takes what the filter certops.vault_extca.order_report returns."),
    ("order_report_csv", ({},), "the key 'orders' is missing. It takes what the filter"),
    ("order_report_csv", ({"orders": [{"source": "main"}]},), "the key 'namespace' is missing."),
    ("order_report_renewals", (None,), "It takes what the filter"),
    ("order_report_renewals", ({"orders": ["a"]},), "It takes what the filter"),
    ("order_report_page", ({"orders": []}, "x"), "the key 'generated' is missing. It takes what the filter"),
    ("order_report_page", (report_on([]), "{{ x.y }}"), "the template cannot be filled: 'x' is undefined."),
    ("order_report_page", (report_on([]), "\n{% if %}"), "the template cannot be filled, line 2: "),
    ("order_report_page", (report_on([]), None), "and the text of a template."),
    ("order_report_page", (report_on([]),), "argument: 'template'. It takes"),
]


@pytest.mark.parametrize(("name", "given", "complaint"), WRONG)
def test_what_is_no_report_is_refused_in_words(name: str, given: tuple[Any, ...], complaint: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        FilterModule().filters()[name](*given)
    assert str(caught.value).startswith(f"certops.vault_extca.{name}: ")
    assert complaint in str(caught.value)
