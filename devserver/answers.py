# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What Vault's public sources leave open: one row a question, the answers by name, the default first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ANSWERS: Mapping[str, tuple[str, ...]] = {
    "OQ-1": ("400", "404", "200"),  # fetch-cert of an order that is not completed
    "OQ-2": ("404", "400"),  # a read below an order or role that does not exist
    "OQ-3": ("404", "400", "204"),  # cached, when nothing satisfies the request
    "OQ-4": ("204", "400"),  # fulfilled-challenge a second time
    "OQ-5": ("key-authorization", "txt-value"),  # challenge_auth of dns-01 and tls-alpn-01
    "OQ-6": ("400", "204"),  # revoke a second time
    "OQ-7": ("absent", "empty"),  # private_key in the CSR workflow
    "OQ-8": ("hyphens", "underscores"),  # spelling of order states
    "OQ-9": ("found", "404", "412"),  # a read right after new-order
    "OQ-10": ("served", "400"),  # fetch-cert of a revoked order
    "OQ-11": ("no", "yes"),  # an unchanged write touches last_updated_date
    "OQ-12": ("hyphens", "underscores"),  # the reason of revoke: required and hyphens, or optional and underscores
    "OQ-13": ("204", "200"),  # rotate-key
    "OQ-14": ("go", "seconds", "as-written"),  # the ttl of a DNS provider read back
    "OQ-15": ("hmac-sha256", "hmac-sha1"),  # default of tsig_algorithm
    "OQ-16": ("absent", "present"),  # type in a DNS provider read back
    "OQ-17": ("known", "unknown"),  # dns_provider_name and dns_provider_type of a role
    "OQ-18": ("absent", "present"),  # email_contacts in the answer to import
    "OQ-19": ("present", "absent"),  # requires_manual_fulfillment
}


class Answers:
    """The answers in force. They may be changed while the server runs."""

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        self._given: dict[str, str] = {}
        self.update(given or {})

    def __call__(self, question: str) -> str:
        """The name of the answer in force. KeyError for a question that is none."""
        return self._given.get(question) or ANSWERS[question][0]

    def update(self, given: Mapping[str, object]) -> None:
        """Put answers in force; all of them, or none if one is bad (ValueError, with what would be right)."""
        for question, answer in given.items():
            check(question, answer)
        self._given.update({question: str(answer) for question, answer in given.items()})

    def replace(self, given: Mapping[str, object]) -> None:
        """Put these answers in force and the defaults for all other questions."""
        for question, answer in given.items():
            check(question, answer)
        self._given = {question: str(answer) for question, answer in given.items()}

    def in_force(self) -> dict[str, str]:
        """Every question with its answer."""
        return {question: self(question) for question in ANSWERS}


def check(question: str, answer: object) -> None:
    """ValueError with what is allowed, unless this is one of the question's answers."""
    if question not in ANSWERS:
        raise ValueError(f"there is no question {question!r}; there are {', '.join(ANSWERS)}")
    if str(answer) not in ANSWERS[question]:
        raise ValueError(f"{question} cannot be answered with {answer!r}; use one of {', '.join(ANSWERS[question])}")


def parse(pairs: Iterable[str]) -> dict[str, str]:
    """Answers from texts such as ``OQ-1=404``. ValueError for one that does not read."""
    given = {}
    for pair in pairs:
        question, equals, answer = pair.partition("=")
        if not equals:
            raise ValueError(f"{pair!r} is not of the form OQ-n=answer, such as OQ-1=404")
        check(question, answer)
        given[question] = answer
    return given
