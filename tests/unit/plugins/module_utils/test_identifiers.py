# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""DNS names and their one spelling."""

from __future__ import annotations

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.identifiers import (
    normalise_identifier,
    normalise_identifiers,
    same_spelling,
)
from hypothesis import given
from hypothesis import strategies as st

LABELS = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?", fullmatch=True).filter(
    lambda label: not label.isdigit()
)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("www.example.com", "www.example.com"),
        (" WWW.Example.COM. ", "www.example.com"),
        ("*.Example.com", "*.example.com"),
        ("räksmörgås.se", "xn--rksmrgs-5wao1o.se"),
        ("RÄKSMÖRGÅS.SE", "xn--rksmrgs-5wao1o.se"),
        ("*.räksmörgås.se.", "*.xn--rksmrgs-5wao1o.se"),
        ("xn--rksmrgs-5wao1o.se", "xn--rksmrgs-5wao1o.se"),
        ("_service.example.com", "_service.example.com"),
        ("localhost", "localhost"),
    ],
)
def test_a_name_has_one_spelling(written: str, name: str) -> None:
    assert normalise_identifier(written) == name
    assert normalise_identifier(name) == name
    assert same_spelling(written) == name


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("", "not a DNS name"),
        (".", "not a DNS name"),
        ("*.", "not a DNS name"),
        ("*", "wildcard in the wrong place"),
        ("a.*.example.com", "wildcard in the wrong place"),
        ("*.*.example.com", "wildcard in the wrong place"),
        ("w*.example.com", "wildcard in the wrong place"),
        ("a..example.com", "not a DNS name"),
        ("example.com..", "not a DNS name"),
        ("-a.example.com", "not a DNS name"),
        ("a" * 64 + ".example.com", "not a DNS name"),
        ("a." * 130 + "com", "has 263 characters"),
        ("https://example.com", "not a DNS name"),
        ("user@example.com", "not a DNS name"),
        ("192.0.2.1", "IP address"),
        ("192.0.2.1.", "IP address"),
        ("2001:db8::1", "IP address"),
        ("[2001:db8::1]", "IP address"),
        ("ä" * 70 + ".se", "not an internationalised DNS name"),
        ("ä..se", "not an internationalised DNS name"),
    ],
)
def test_what_is_no_name_is_refused(written: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        normalise_identifier(written)
    assert same_spelling(written) == written


@given(st.lists(LABELS, min_size=1, max_size=5), st.booleans(), st.booleans())
def test_case_and_trailing_dot_do_not_matter(labels: list[str], wildcard: bool, dot: bool) -> None:
    name = ("*." if wildcard else "") + ".".join(labels)
    assert normalise_identifier(name.swapcase() + ("." if dot else "")) == name.lower()


@given(st.text(max_size=60))
def test_any_text_is_a_name_that_stays_as_it_is_or_a_value_error(text: str) -> None:
    try:
        name = normalise_identifier(text)
    except ValueError:
        return
    assert normalise_identifier(name) == name
    assert name.isascii()


def test_each_name_once_in_the_order_given() -> None:
    assert normalise_identifiers(["b.example", "A.example", "B.example."]) == ["b.example", "a.example"]
    with pytest.raises(ValueError, match="identifiers is empty"):
        normalise_identifiers([])
