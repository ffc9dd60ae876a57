# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""The base of every module: shared options, the connection, results, and the one place where errors become failures."""

from __future__ import annotations

import atexit
import gc
import re
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, TypeVar

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.parameters import remove_values

from .certificates import csr_block, csr_identifiers
from .external_ca import ExternalCA, OrderReference, parse_order_reference
from .identifiers import normalise_identifiers
from .polling import Patience, parse_wait_timeout
from .vault_auth import AUTH_METHODS
from .vault_connection import VaultConnection
from .vault_errors import ExtcaError, InvalidInput, MissingLibrary, PermissionDenied

Spec = Dict[str, Any]

# Shorter lines of a PEM key are its markers or its end, and of other secrets too common to be censored everywhere.
_SHORTEST_KEY_LINE = 40
_PASSWORD_IN_URL = re.compile(r"://[^/@:]*:([^/@]+)@")
Parsed = TypeVar("Parsed")

# Documented in plugins/doc_fragments/connection.py.
CONNECTION: Spec = dict(
    url=dict(type="str"),
    proxies=dict(type="raw"),
    ca_cert=dict(type="path", aliases=["cacert"]),
    validate_certs=dict(type="bool"),
    namespace=dict(type="str"),
    timeout=dict(type="int"),
    retries=dict(type="raw"),
    retry_action=dict(type="str", choices=["ignore", "warn"], default="warn"),
)
# Documented in plugins/doc_fragments/auth.py.
AUTH: Spec = dict(
    auth_method=dict(type="str", choices=AUTH_METHODS, default="token"),
    mount_point=dict(type="str"),
    token=dict(type="str", no_log=True),
    token_path=dict(type="path", no_log=False),
    token_file=dict(type="str", default=".vault-token", no_log=False),
    token_validate=dict(type="bool", default=False, no_log=False),
    revoke_token=dict(type="bool", default=True, no_log=False),
    username=dict(type="str"),
    password=dict(type="str", no_log=True),
    role_id=dict(type="str"),
    secret_id=dict(type="str", no_log=True),
    wrapped_secret_id=dict(type="str", no_log=True),
    jwt=dict(type="str", no_log=True),
    kubernetes_token_path=dict(type="path", no_log=False),
    aws_profile=dict(type="str", aliases=["boto_profile"]),
    aws_access_key=dict(type="str", aliases=["aws_access_key_id"], no_log=False),
    aws_secret_key=dict(type="str", aliases=["aws_secret_access_key"], no_log=True),
    aws_security_token=dict(type="str", no_log=True),
    region=dict(type="str"),
    aws_iam_server_id=dict(type="str"),
    azure_tenant_id=dict(type="str"),
    azure_client_id=dict(type="str"),
    azure_client_secret=dict(type="str", no_log=True),
    azure_resource=dict(type="str", default="https://management.azure.com/"),
    cert_auth_public_key=dict(type="path"),
    cert_auth_private_key=dict(type="path", no_log=False),
)
# Documented in plugins/doc_fragments/mount.py.
MOUNT: Spec = dict(mount=dict(type="str", default="pki-external-ca", aliases=["engine_mount_point"]))
# Documented in plugins/doc_fragments/order_reference.py.
ORDER_REFERENCE: Spec = dict(role_name=dict(type="str"), order_id=dict(type="str"), id=dict(type="str"))
ORDER_REFERENCE_RULES: Spec = dict(
    required_one_of=[("order_id", "id")],
    required_together=[("role_name", "order_id")],
    mutually_exclusive=[("order_id", "id")],
)
# Documented in plugins/doc_fragments/request.py.
REQUEST: Spec = dict(
    identifiers=dict(type="list", elements="str"),
    csr=dict(type="str"),
    csr_path=dict(type="path"),
)
REQUEST_RULES: Spec = dict(
    required_one_of=[("identifiers", "csr", "csr_path")],
    mutually_exclusive=[("identifiers", "csr", "csr_path")],
)
# Documented in plugins/doc_fragments/reuse.py.
REUSE: Spec = dict(
    reuse=dict(type="str", choices=["active", "valid", "never"], default="valid"),
    renew_before=dict(type="str", default="33%"),
)
# Documented in plugins/doc_fragments/waiting.py.
WAITING: Spec = dict(
    wait=dict(type="bool", default=True),
    wait_timeout=dict(type="int", default=300),
    poll_interval=dict(type="float"),
)


class ExtcaModule(AnsibleModule):  # type: ignore[misc]  # ansible-core ships no types
    """An AnsibleModule that knows how to reach the engine. Supports check mode unless told otherwise."""

    def __init__(self, argument_spec: Spec, **kwargs: Any) -> None:
        self._connection: Optional[VaultConnection] = None
        self._raises_failures = False
        kwargs.setdefault("supports_check_mode", True)
        super().__init__(argument_spec={**CONNECTION, **AUTH, **MOUNT, **argument_spec}, **kwargs)
        # The option is no secret, the password of a proxy in it is one.
        self.no_log_values.update(_PASSWORD_IN_URL.findall(str(self.params["proxies"])))
        # A process this short gains nothing from looking for cycles while libraries such as hvac load, nor once more at its
        # end, where that would be a sixth of all that the process costs.
        gc.set_threshold(50_000)
        atexit.register(gc.freeze)

    @contextmanager
    def external_ca(self) -> Iterator[ExternalCA]:
        """The engine, for the length of a ``with`` block; whatever is raised inside becomes this module's failure."""
        self._connection = VaultConnection(
            self.params, warn=self.warn, hide=self.no_log_values.add, conceal=self._conceal
        )
        try:
            if self.params.get("id") is not None:
                self.params["mount"], order = parse_order_reference(self.params["id"])
                self.params.update(order._asdict())
            yield ExternalCA(self._connection, self.params["mount"])
        except ExtcaError as error:
            self.fail_json(msg=self.explain(error), **error.details)
        except ImportError as error:
            self.fail_json(msg=MissingLibrary.of(error).message)
        finally:
            self._close()  # whatever has happened, the token of a login does not outlive the task

    def explain(self, error: ExtcaError) -> str:
        """An error's message, and of a refusal what the token lacks, which takes a request."""
        if not isinstance(error, PermissionDenied) or self._connection is None:
            return error.message
        lacking = self._connection.missing_capability(error)
        return error.message + (f" On {error.path} {lacking}." if lacking else " Check the token and its policies.")

    def _conceal(self, text: str) -> str:
        """What a server says, without the secrets of this task's options, nor a line of one that has several (a key)."""
        lines = (
            line for secret in self.no_log_values for line in secret.splitlines() if len(line) > _SHORTEST_KEY_LINE
        )
        concealed: str = remove_values(text, {*self.no_log_values, *lines})
        return concealed

    def option(self, name: str, parse: Callable[[Any], Parsed]) -> Parsed:
        """An option's value as ``parse`` reads it; its ValueError becomes an InvalidInput that names the option."""
        if self.params[name] is None:  # Ansible's own rules take null for a value
            raise InvalidInput(f"{name} is null; give it a value, or leave it out.")
        try:
            return parse(self.params[name])
        except ValueError as error:
            raise InvalidInput(f"{name}: {error}.") from None

    def requested(self) -> Tuple[List[str], Optional[str]]:
        """The names to order for, and the certificate signing request if csr or csr_path gives one (one PEM block)."""
        if self.params["identifiers"] is not None:
            return self.option("identifiers", normalise_identifiers), None
        given = next((one for one in ("csr", "csr_path") if self.params[one] is not None), "identifiers")
        text = self.option(given, _text_of_file if given == "csr_path" else str)
        csr = self.option(given, lambda _value: csr_block(text))
        return self.option(given, lambda _value: normalise_identifiers(csr_identifiers(csr))), csr

    def order_reference(self) -> OrderReference:
        """The order that role_name and order_id, or id in their place, name."""
        return OrderReference(self.params["role_name"], self.params["order_id"])

    def patience(self) -> Patience:
        """The options of waiting."""
        interval = self.params["poll_interval"]
        try:
            timeout = parse_wait_timeout(self.params["wait_timeout"])
        except ValueError as error:
            raise InvalidInput(f"{error}.") from None
        if interval is not None and not 0.1 <= interval <= 3600:
            raise InvalidInput(
                f"poll_interval {interval:g} is not between 0.1 and 3600 seconds; leave it out to adapt."
            )
        return Patience(timeout, interval)

    @contextmanager
    def failures_raised(self) -> Iterator[None]:
        """Within the block, ExtcaError is raised where Ansible's own functions would end the module."""
        self._raises_failures = True
        try:
            yield
        finally:
            self._raises_failures = False

    def fail_json(self, msg: str, **kwargs: Any) -> Any:
        """End with a failure."""
        if self._raises_failures:
            told = [str(one) for one in (kwargs.get("path"), msg, kwargs.get("exception")) if one]
            raise ExtcaError(": ".join(told))
        self._close()
        return super().fail_json(msg, **kwargs)

    def exit_json(self, **kwargs: Any) -> Any:
        """End with a result."""
        self._close()
        return super().exit_json(**kwargs)

    def _close(self) -> None:
        # Before the result is printed, so that a warning of it is still part of the result.
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _text_of_file(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError as error:
        raise ValueError(f"{path} cannot be read on the host that runs this task: {error.strerror}") from None
