# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""The options that say how a host answers challenges."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional

from .challenge_proofs import DNS_01, HTTP_01, TLS_ALPN_01
from .challenge_responders import HttpResponder, Responder, TlsAlpnResponder, WebrootResponder
from .challenge_servers import Address, parse_address
from .issuance import AUTO, Challenges
from .vault_errors import InvalidInput


def challenges_of(params: Mapping[str, Any]) -> Challenges:
    """The challenges that these options permit, http-01 first. Raises InvalidInput."""
    responders: List[Responder] = []
    if params["http_01"]:
        responders.append(_http(params["http_01"]))
    if params["tls_alpn_01"]:
        responders.append(TlsAlpnResponder(_address("listen of tls_alpn_01", params["tls_alpn_01"]["listen"])))
    chosen = params["challenge_type"]
    answered = [one.challenge_type for one in responders]
    if chosen not in (AUTO, DNS_01) and chosen not in answered:
        option = {HTTP_01: "http_01", TLS_ALPN_01: "tls_alpn_01"}[chosen]
        raise InvalidInput(f"challenge_type is {chosen}, and {option} does not say how this host answers it.")
    return Challenges(chosen, responders)


def _http(given: Mapping[str, Any]) -> Responder:
    if given["listen"] is not None:
        return HttpResponder(_address("listen of http_01", given["listen"]))
    check: Optional[Address] = None
    if given["check_address"]:
        check = _address("check_address of http_01", given["check_address"])
    return WebrootResponder(given["webroot"] or "", check)


def _address(option: str, text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise InvalidInput(f"{option}: {error}.") from None
