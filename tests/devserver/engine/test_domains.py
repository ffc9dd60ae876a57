# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Which identifiers roles and DNS providers cover."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devserver.engine import domains
from tests.devserver.contract import domain_vectors

_LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
_NAMES = st.lists(_LABELS, min_size=2, max_size=4).map(".".join)


@pytest.mark.parametrize("vector", domain_vectors(), ids=lambda one: f"{one['allowed_domains']}-{one['options']}")
def test_vectors(vector: dict[str, Any]) -> None:
    allowed = [one.replace("{{identity.entity.name}}", vector.get("entity", "")) for one in vector["allowed_domains"]]
    for identifier in vector["allow"]:
        assert domains.covered_by_role(domains.normalise(identifier), allowed, vector["options"]), identifier
    for identifier in vector["deny"]:
        assert not domains.covered_by_role(domains.normalise(identifier), allowed, vector["options"]), identifier


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("WWW.Example.COM.", "www.example.com"),
        ("*.Example.com", "*.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        (" www.example.com ", "www.example.com"),
    ],
)
def test_canonical_form(written: str, canonical: str) -> None:
    assert domains.normalise(written) == canonical


@pytest.mark.parametrize(
    "written",
    [
        *("", ".", "a..b", "*", "*.", "a.*.b", "-a.example.com", "a_b.example.com", "a b.example.com"),
        *("x" * 64 + ".com", ".".join(["a" * 60] * 5), "../../sys", "a.\u0000.com"),
    ],
)
def test_what_is_no_name_is_refused_by_name(written: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        domains.normalise(written)


@given(_NAMES)
def test_canonical_names_stay(name: str) -> None:
    assert domains.normalise(name) == name
    assert domains.normalise(domains.normalise(name.upper() + ".")) == name


@given(_NAMES, _NAMES, st.lists(st.sampled_from(domains.OPTIONS), unique=True))
def test_no_option_reaches_beyond_the_domain(domain: str, other: str, options: list[str]) -> None:
    if other != domain and not other.endswith("." + domain):
        assert not domains.covered_by_role(other, [domain], options)
        assert not domains.covered_by_role(f"*.{other}", [domain], options)


@given(_NAMES, _LABELS, st.lists(st.sampled_from(domains.OPTIONS), unique=True))
def test_wildcard_identifiers_need_their_option(domain: str, label: str, options: list[str]) -> None:
    if "wildcards" not in options:
        allowed = [domain, f"*.{domain}", "*", f"{label}.{domain}"]
        assert not domains.covered_by_role(f"*.{domain}", allowed, options)
        assert not domains.covered_by_role(f"*.{label}.{domain}", allowed, options)


def test_wildcard_below_a_domain_with_subdomains() -> None:
    options = ["subdomains", "wildcards"]
    assert domains.covered_by_role("*.example.com", ["example.com"], options)
    assert domains.covered_by_role("*.a.example.com", ["example.com"], options)
    assert not domains.covered_by_role("*.example.com", ["example.com"], ["wildcards"])


def test_a_glob_may_stand_anywhere() -> None:
    assert domains.covered_by_role("web-7.example.com", ["web-*.example.com"], ["globs"])
    assert not domains.covered_by_role("db-7.example.com", ["web-*.example.com"], ["globs"])
    assert not domains.covered_by_role("web-7.example.com", ["web-*.example.com"], ["bare_domains", "subdomains"])


@pytest.mark.parametrize(
    ("identifier", "patterns", "covered"),
    [
        ("example.com", ["example.com"], True),
        ("www.example.com", ["example.com"], False),
        ("www.example.com", ["*.example.com"], True),
        ("a.www.example.com", ["*.example.com"], True),
        ("example.com", ["*.example.com"], False),
        ("*.example.com", ["*.example.com"], True),
        ("*.example.com", ["example.com"], True),
        ("bücher.example", ["xn--bcher-kva.example"], True),
        ("badexample.com", ["*.example.com"], False),
    ],
)
def test_provider_patterns(identifier: str, patterns: list[str], covered: bool) -> None:
    assert bool(domains.provider_match(domains.normalise(identifier), patterns)) is covered


def test_the_more_specific_provider_pattern_wins() -> None:
    ranking = ["*.example.com", "*.a.example.com", "www.a.example.com"]
    matches = [domains.provider_match("www.a.example.com", [pattern]) for pattern in ranking]
    assert matches == sorted(matches)
    assert len(set(matches)) == 3
