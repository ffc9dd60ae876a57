# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""The files of a certificate judged, and made to hold one that is given, without Vault."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Dict, Optional

from ansible.module_utils.basic import AnsibleModule

from .certificate_decision import Decision, Wanted, decide, next_renewal
from .certificate_files import Material, assemble
from .certificates import BadCertificate, check_certificate, summary
from .destination import Destination, Written
from .durations import RenewBefore, parse_renew_before
from .identifiers import normalise_identifiers
from .polling import Patience, parse_wait_timeout
from .vault_errors import InvalidInput


def files_of_certificate(module: AnsibleModule, now: Optional[datetime] = None) -> Dict[str, Any]:
    """The result of vault_extca_certificate_files. Raises ExtcaError."""
    params = module.params
    try:
        identifiers = normalise_identifiers(params["identifiers"])
        renew_before = parse_renew_before(params["renew_before"])
        patience = Patience(parse_wait_timeout(params["wait_timeout"]))
    except ValueError as error:
        raise InvalidInput(f"{error}.") from None
    destination = Destination(module)
    wanted, now = Wanted(identifiers, renew_before), now or datetime.now(timezone.utc)
    decision = decide(destination.paths, destination.read(), wanted, now)
    if not params["certificate"]:
        if destination.has_untold_changes():
            reason = f"a run that was cut short has replaced files; {decision.reason}"
            decision = decision._replace(stale=list(destination.paths), reason=reason)
        return _result(module, decision, decision, Written(False, [], {}), renew_before)
    if destination.holds_key and not params["private_key"]:
        raise InvalidInput(
            "destination names a file for the private key, and private_key is not given. Give it, or leave private_key, pem_bundle "
            "and pkcs12 out of destination."
        )
    material = _given(params, identifiers)
    written = destination.install(material, identifiers[0], patience)
    found = destination.predict(material, identifiers[0]) if module.check_mode else destination.read()
    return _result(module, decision, decide(destination.paths, found, wanted, now), written, renew_before)


def _given(params: Dict[str, Any], identifiers: Any) -> Material:
    """What the options give; nothing is installed that does not fit."""
    try:
        material = assemble(params, params["private_key"])
        check_certificate(material.leaf, material.chain, private_key=material.private_key, identifiers=identifiers)
    except (BadCertificate, IndexError) as error:
        text = "there is no PEM certificate in it" if isinstance(error, IndexError) else str(error)
        raise InvalidInput(f"certificate cannot be installed: {text}.") from None
    return material


def _result(
    module: AnsibleModule, before: Decision, after: Decision, written: Written, renew_before: RenewBefore
) -> Dict[str, Any]:
    facts = after.facts
    result: Dict[str, Any] = {
        "changed": written.changed,
        "good": after.good is not None and not after.stale,
        "reason": before.reason,
        **summary(facts),
        **written.result(),
    }
    if facts is not None:
        result["next_renewal"] = next_renewal(facts, renew_before)
    if module._diff:
        result["diff"] = {"before": summary(before.facts), "after": summary(facts)}
    return result
