# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""A certificate as desired state: decide from the files; if they are not good, have a certificate issued; install it as one set."""

from __future__ import annotations

import hashlib
import signal
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, cast

from .certificate_decision import Decision, Wanted, decide, due_reason, next_renewal
from .certificate_files import Material, assemble, public_der
from .certificates import CertificateFacts, certificate_facts, summary
from .destination import Destination, Written
from .durations import parse_renew_before
from .extca_module import ExtcaModule
from .external_ca import ExternalCA, OrderReference, format_order_reference
from .identifiers import normalise_identifiers
from .polling import Clock, SystemClock
from .unfinished_work import UnfinishedWork
from .vault_errors import ExtcaError, InvalidInput, NotFound

FROM_DESTINATION = "destination"
KEY_OF_VAULT = "vault"


class _Key(NamedTuple):
    """The key to order for. ``csr`` is None where Vault makes it; ``is_new`` says that no order can exist for it."""

    private_key: Optional[str]
    csr: Optional[str]
    is_new: bool


class _Issued(NamedTuple):
    source: str
    reference: Optional[OrderReference]
    material: Material
    facts: CertificateFacts


class DesiredCertificate:
    """One task's certificate. ``ensure`` does everything and returns the module's result."""

    def __init__(
        self,
        module: ExtcaModule,
        external_ca: ExternalCA,
        *,
        clock: Clock = SystemClock(),
        now: Optional[datetime] = None,
    ) -> None:
        self._module = module
        self._external_ca = external_ca
        self._clock = clock
        self._now = now or datetime.now(timezone.utc)
        params = module.params
        self._identifiers: List[str] = module.option("identifiers", normalise_identifiers)
        self._renew_before = module.option("renew_before", parse_renew_before)
        self._patience = module.patience()
        self._destination = Destination(module)
        self._fixed_key = self._read_fixed_key()
        self._wanted = Wanted(
            self._identifiers,
            self._renew_before,
            self._fixed_key,
            params["key_type"] if params["key_source"] != KEY_OF_VAULT and self._fixed_key is None else None,
        )

    def _read_fixed_key(self) -> Optional[str]:
        params = self._module.params
        path = params["private_key_path"]
        if params["key_source"] == KEY_OF_VAULT:
            if path:
                raise InvalidInput(
                    "private_key_path is for key_source: local; with key_source: vault, Vault makes the key."
                )
            return None
        if not path:
            if not self._destination.holds_key:
                raise InvalidInput(
                    "key_source is local, and nothing says where the key is or goes: name private_key, pem_bundle or pkcs12 in "
                    "destination, or an existing key in private_key_path."
                )
            return None
        from .local_keys import read_private_key

        return read_private_key(path)

    # ------------------------------------------------------------------ deciding

    def ensure(self) -> Dict[str, Any]:
        """Bring it about, or in check mode tell what would be done. Returns the module's result."""
        if not self._module.check_mode and self._destination.is_unfinished():
            self._tidy(False)
        decision = self._decide()
        if decision.good is not None and not decision.stale:
            changed = self._destination.settle() or self._destination.were_replaced
            if not self._module.check_mode and self._destination.is_unfinished():
                self._tidy(True)
            return self._result(decision, decision.good, Written(changed, [], {}), FROM_DESTINATION)
        if self._module.check_mode:
            return self._preview(decision)
        challenges = None if decision.good is not None else self._challenges()
        self._destination.check_places()
        work = cast(UnfinishedWork, self._destination.begin(self._patience, self._clock))
        try:
            return self._bring_about(work, challenges)
        finally:
            work.close()

    def _decide(self) -> Decision:
        decision = decide(self._destination.paths, self._destination.read(), self._wanted, self._now)
        if self._module.params["force"] and decision.facts is not None:
            reason = decision.reason if decision.good is None else "force is set"
            return Decision(None, list(self._destination.paths), reason, decision.facts)
        revoked = None if decision.good is None else self._revoked(decision)
        return Decision(None, list(self._destination.paths), revoked, decision.facts) if revoked else decision

    def _revoked(self, decision: Decision) -> Optional[str]:
        if not self._module.params["check_revocation"] or decision.facts is None:
            return None
        from . import order_states

        issued = self._external_ca.issued_certificate(decision.facts.serial_number)
        revoked = issued is not None and issued["order_status"] == order_states.REVOKED
        return f"Vault has revoked the certificate {decision.facts.serial_number}" if revoked else None

    def _tidy(self, is_done: bool) -> None:
        """Finish the renames of a run that was cut short, and, where its work is done, forget it; unless one is under way."""
        work = self._destination.begin(None, self._clock)
        if work is None:
            return
        if is_done:
            from .issuance import withdraw

            withdraw([], work)
            work.forget()
        work.close()

    # ------------------------------------------------------------------ doing

    def _bring_about(self, work: UnfinishedWork, challenges: Any) -> Dict[str, Any]:
        # Another task may have done it while this one waited for its turn.
        decision = self._decide()
        source, reference, material, facts = FROM_DESTINATION, None, decision.good, decision.facts
        try:
            with _ending_in_order():
                if material is None:
                    issued = self._issue(decision, work, challenges or self._challenges())
                    source, reference, material, facts = issued
            written = self._destination.write(material, self._identifiers[0], work)
        except Exception as error:
            from .issuance import is_worth_keeping

            if not is_worth_keeping(work, error):
                work.forget()
            raise
        work.forget()
        return self._result(decision, material, written, source, reference, facts)

    def _issue(self, decision: Decision, work: UnfinishedWork, challenges: Any) -> _Issued:
        from .issuance import fetch_again, issue

        if decision.but_for_chain is not None and decision.facts is not None:
            same = fetch_again(
                self._external_ca, self._request(decision, None), decision.facts.serial_number, self._module.warn
            )
            if same is not None:
                material = assemble(same.certificate, decision.but_for_chain.private_key)
                return _Issued(same.source, same.reference, material, same.facts)
        self._start_or_resume(work)
        while True:
            resumed = bool(work.values.get("order_id"))
            key = self._key(work)
            request = self._request(decision, key.csr)
            obtained = issue(
                self._external_ca,
                request,
                work,
                challenges,
                self._patience,
                is_new_key=key.is_new,
                warn=self._module.warn,
                now=self._now,
                clock=self._clock,
            )
            due = due_reason(obtained.facts, self._renew_before, self._now)
            if not due or not resumed:
                break
            # The order was made by a run that was cut short long ago.
            work.start_anew()
            self._start_or_resume(work)
        if due:
            self._module.warn(
                f"The new certificate {due} and is due for renewal at once: renew_before "
                f"{self._module.params['renew_before']} leaves nothing of its lifetime."
            )
        material = assemble(obtained.certificate, obtained.certificate["private_key"] or key.private_key)
        return _Issued(obtained.source, obtained.reference, material, obtained.facts)

    def _request(self, decision: Decision, csr: Optional[str]) -> Any:
        from .issuance import Request

        params = self._module.params
        serial_number = decision.facts.serial_number if decision.facts else None
        rejecting = params["force"] or params["check_revocation"]
        return Request(
            params["role_name"],
            self._identifiers,
            self._renew_before,
            csr=csr,
            use_cached=params["use_cached"] and not params["force"],
            rejected=serial_number if rejecting else None,
        )

    def _start_or_resume(self, work: UnfinishedWork) -> None:
        """Go on with recorded work only if it is for the same thing."""
        params = self._module.params
        fixed = hashlib.sha256(public_der(self._fixed_key)).hexdigest() if self._fixed_key else None
        subject = {
            "mount": self._external_ca.mount,
            "role_name": params["role_name"],
            "identifiers": self._identifiers,
            "key": fixed or (params["key_source"] if params["key_source"] == KEY_OF_VAULT else params["key_type"]),
        }
        if work.values.get("subject") != subject:
            from .issuance import withdraw

            withdraw([], work)
            work.start_anew()
            work.note(subject=subject)

    def _key(self, work: UnfinishedWork) -> _Key:
        if self._module.params["key_source"] == KEY_OF_VAULT:
            return _Key(None, None, False)
        from .local_keys import new_csr, new_private_key

        recorded = work.values.get("csr")
        if recorded:
            return _Key(self._fixed_key or work.values["private_key"], recorded, False)
        private_key = self._fixed_key or new_private_key(self._module.params["key_type"])
        csr = new_csr(private_key, self._identifiers)
        # The order will be for this very request: were it lost, so would be the order.
        work.note(csr=csr, **({} if self._fixed_key else {"private_key": private_key}))
        return _Key(private_key, csr, True)

    def _challenges(self) -> Any:
        from .challenge_options import challenges_of

        return challenges_of(self._module.params)

    # ------------------------------------------------------------------ telling

    def _preview(self, decision: Decision) -> Dict[str, Any]:
        """What would be done. Vault is asked, and told nothing."""
        paths = [self._destination.paths[kind] for kind in decision.stale]
        if decision.good is not None:
            return self._result(decision, decision.good, Written(True, paths, {}), FROM_DESTINATION)
        from .issuance import FROM_ORDER, Existing, find_existing

        self._challenges()
        result: Dict[str, Any] = {"changed": True, "reason": decision.reason, "source": FROM_ORDER, "files": paths}
        result.update(role_name=self._module.params["role_name"], identifiers=self._identifiers, order_id=None)
        after: Dict[str, Any] = {"identifiers": self._identifiers, "serial_number": "that of the new certificate"}
        if self._module.params["key_source"] == KEY_OF_VAULT:
            try:
                existing = find_existing(
                    self._external_ca,
                    self._request(decision, None),
                    lost_order=False,
                    warn=self._module.warn,
                    now=self._now,
                    clock=self._clock,
                )
            except NotFound as error:
                self._module.warn(f"Predicting a new order on a mount that is not there yet: {error}")
                existing = Existing(None, None)
            if existing.obtained is not None:
                result["source"], after = existing.obtained.source, summary(existing.obtained.facts)
                result.update(after)
            reference = existing.obtained.reference if existing.obtained else existing.reference
            result["order_id"] = reference.order_id if reference else None
        return {**result, **self._diff(decision, after)}

    def _result(
        self,
        decision: Decision,
        material: Material,
        written: Written,
        source: str,
        reference: Optional[OrderReference] = None,
        facts: Optional[CertificateFacts] = None,
    ) -> Dict[str, Any]:
        facts = facts or certificate_facts(material.leaf)
        reason = decision.reason
        if written.changed and self._destination.were_replaced:
            reason = f"an earlier run was cut short after it had replaced files; {reason}"
        elif written.changed and not written.files:
            reason += "; owner, group, mode or the like of a file differed"
        result: Dict[str, Any] = {
            "changed": written.changed,
            "reason": reason,
            "source": source,
            "role_name": self._module.params["role_name"],
            "order_id": reference.order_id if reference else None,
            "certificate": material.leaf,
            "ca_chain": material.chain,
            "fullchain": material.leaf + "".join(material.chain),
            **summary(facts),
            "next_renewal": next_renewal(facts, self._renew_before),
            **written.result(),
        }
        if reference is not None:
            result["id"] = format_order_reference(self._external_ca.mount, reference)
        private_key = material.private_key or self._fixed_key
        # A key that was there before this task is returned only to who asks for it.
        if private_key and (
            self._module.params["return_private_key"] or (self._fixed_key is None and self._destination.returns_key)
        ):
            result["private_key"] = private_key
        return {**result, **self._diff(decision, summary(facts), written.files)}

    def _diff(self, decision: Decision, after: Dict[str, Any], files: Optional[List[str]] = None) -> Dict[str, Any]:
        if not self._destination.shows_diff:
            return {}
        before = summary(decision.facts)
        return {"diff": {"before": before, "after": after if files is None or files else before}}


class Ended(ExtcaError):
    """The task was told to end."""


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP end the task through its clean-up, so that no challenge stays published."""

    def end(number: int, _frame: Any) -> None:
        raise Ended(f"The task was ended by {signal.Signals(number).name}. The next run goes on where it was.")

    # Under nohup, SIGHUP is ignored, and stays so.
    heeded = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is not signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
