# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The engine's contract as a check: ``assert_conforms("GET", "/{mount}/role/{name}", response)``.

Two documents decide. ``pki-external-ca.openapi.yaml`` gives statuses and schemas, ``vault-2.1.0-engine-fields.json``
the fields that Vault 2.1.0 itself declares. Where an open question is answered in a way that the documents do not
show, the answer has to be passed (``answers={"OQ-1": "200"}``); under the default answers nothing else is accepted.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml
from jsonschema import Draft202012Validator

_HERE = Path(__file__).parent
_METHODS = ("get", "post", "delete", "x-list")
_CORE_REFUSALS = ("403", "405", "412", "429", "503")  # Vault's core may answer these on every path
_DNS_TYPES = ("aws-route53", "azure-dns", "google-cloud-dns", "rfc2136")

#: Every ``(method, template, status)`` that was found to conform in this process.
conformed: set[tuple[str, str, str]] = set()


class HttpResponse(Protocol):
    """What the check needs of a response; ``requests.Response`` has it."""

    status_code: int

    @property
    def content(self) -> bytes:
        """The body."""


def assert_conforms(
    method: str, path_template: str, response: HttpResponse, *, answers: Mapping[str, str] | None = None
) -> None:
    """Fail unless this response is one that the contract allows for this operation.

    ``method`` is GET, POST, PUT, DELETE or LIST; ``path_template`` is a key of the document's ``paths``. Where that has
    ``{type}``, give the DNS provider's type itself (``/{mount}/config/dns/rfc2136/{name}``), since fields depend on it.
    """
    verb = {"PUT": "POST"}.get(method.upper(), method.upper())
    status = str(response.status_code)
    where = f"{verb} {path_template} answered {status}"
    schema = _response_schema(verb, path_template, status, _freeze(answers))
    if schema is None:
        raise AssertionError(f"{where}, which the contract does not know: {response.content[:500]!r}")
    if schema == {}:
        assert not response.content, f"{where} with a body, where none is documented: {response.content[:500]!r}"
    else:
        body = _json(where, response.content)
        _validate(where, schema, body)
        if status == "200":
            _assert_known_fields(where, verb, path_template, body.get("data"), answers or {})
    conformed.add((verb, path_template, status))


def documented() -> Iterator[tuple[str, str, str]]:
    """Every ``(method, template, status)`` of the engine's endpoints, the DNS ones once a type."""
    for template, item in _document()["paths"].items():
        if not template.startswith("/{mount}/"):
            continue
        for verb in _METHODS:
            for status in item.get(verb, {}).get("responses", {}):
                for one in _DNS_TYPES if "{type}" in template else ("",):
                    yield _method(verb), template.replace("{type}", one), status


def domain_vectors() -> list[dict[str, Any]]:
    """The vectors of ``domain-matching.json``: allowed_domains, options, entity (optional), allow, deny."""
    loaded: dict[str, Any] = json.loads((_HERE / "domain-matching.json").read_text(encoding="utf-8"))
    vectors: list[dict[str, Any]] = loaded["vectors"]
    return vectors


@functools.cache
def engine_fields() -> dict[str, Any]:
    """``vault-2.1.0-engine-fields.json``: ``operations`` and ``schemas``."""
    loaded: dict[str, Any] = json.loads((_HERE / "vault-2.1.0-engine-fields.json").read_text(encoding="utf-8"))
    return loaded


@functools.cache
def _document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((_HERE / "pki-external-ca.openapi.yaml").read_text(encoding="utf-8"))
    return loaded


def _method(verb: str) -> str:
    return "LIST" if verb == "x-list" else verb.upper()


def _freeze(answers: Mapping[str, str] | None) -> frozenset[tuple[str, str]]:
    return frozenset((answers or {}).items())


def _openapi_template(path_template: str) -> str:
    if "/config/dns/{type}" in path_template:
        raise LookupError(f"{path_template}: name the provider's type instead of {{type}}")
    head, mark, rest = path_template.partition("/config/dns/")
    kind, slash, name = rest.partition("/")
    return f"{head}{mark}{{type}}{slash}{name}" if mark and kind in _DNS_TYPES else path_template


@functools.cache
def _response_schema(
    method: str, path_template: str, status: str, answers: frozenset[tuple[str, str]]
) -> dict[str, Any] | None:
    """The schema of a body, {} for "no body", None where the status is not documented."""
    template = _openapi_template(path_template)
    verb = "x-list" if method == "LIST" else method.lower()
    operation = _document()["paths"].get(template, {}).get(verb)
    if operation is None:
        raise LookupError(f"the contract has no {method} {path_template}")
    response = _answered(method, template, status, dict(answers)) or operation["responses"].get(status)
    if response is None and status in _CORE_REFUSALS:
        response = {"$ref": "#/components/responses/Error"}
    if response is None:
        return None
    while "$ref" in response:
        response = _resolve(response["$ref"])
    schema = response.get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        return {}
    components = copy.deepcopy(_document()["components"])
    if ("OQ-8", "underscores") in answers:
        states = components["schemas"]["OrderStatus"]["enum"]
        components["schemas"]["OrderStatus"]["enum"] = [state.replace("-", "_") for state in states]
    return {"components": components, "allOf": [schema]}


def _answered(method: str, template: str, status: str, answers: Mapping[str, str]) -> dict[str, Any] | None:
    """Responses that an open question allows and the document's own list of responses does not show."""
    empty = {"$ref": "#/components/responses/Empty"}
    error = {"$ref": "#/components/responses/Error"}
    below_role = method in ("GET", "LIST") and template.startswith("/{mount}/role/{name}")
    if below_role and status == "404":
        return empty  # OQ-2, its first answer
    if below_role and status == "400" and answers.get("OQ-2") == "400":
        return error
    if template.endswith("/rotate-key") and status == "400":
        return error  # the operation's description has it, its list of responses has not
    if template.endswith("/fetch-cert") and status == "200" and answers.get("OQ-1") == "200":
        envelope = {"$ref": "#/components/schemas/Envelope"}
        certificate = {"$ref": "#/components/schemas/Certificate"}
        data = {"properties": {"data": {"anyOf": [{"type": "null"}, certificate]}}}
        return {"content": {"application/json": {"schema": {"allOf": [envelope, data]}}}}
    if template.endswith("/cached") and status == "204" and answers.get("OQ-3") == "204":
        return {"description": "nothing satisfies the request"}
    if method == "GET" and status == answers.get("OQ-9") == "412":
        return error
    return None


def _resolve(reference: str) -> dict[str, Any]:
    found: Any = _document()
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    result: dict[str, Any] = found
    return result


def _json(where: str, content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        raise AssertionError(f"{where} with a body that is not JSON: {content[:500]!r}") from None
    assert isinstance(body, dict), f"{where} with JSON that is not an object: {content[:500]!r}"
    return body


def _validate(where: str, schema: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    problems = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]
    assert not problems, f"{where}:\n  " + "\n  ".join(problems)


def _assert_known_fields(
    where: str, method: str, path_template: str, data: Mapping[str, Any] | None, answers: Mapping[str, str]
) -> None:
    """Every field is one that Vault 2.1.0 declares, with the type that it declares, unless an answer says otherwise."""
    declared = _declared_fields(method, path_template)
    if declared is None or data is None:
        return
    extra = set()
    if answers.get("OQ-18") == "present" and path_template.endswith("/import"):
        extra.add("email_contacts")
    if answers.get("OQ-16") == "present" and "/config/dns/" in path_template:
        extra.add("type")
    unknown = sorted(set(data) - set(declared) - extra)
    assert not unknown, f"{where} with fields that Vault 2.1.0 does not declare: {', '.join(unknown)}"
    python: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "integer": int,
        "boolean": bool,
        "object": (dict, type(None)),
        "array": list,
    }
    for name, value in data.items():
        kind = declared.get(name, {}).get("type")
        if name == "ttl" and answers.get("OQ-14") == "seconds":
            kind = "integer"
        if kind is not None:
            assert isinstance(value, python[kind]), f"{where} with {name} = {value!r}, declared as {kind}"


def _declared_fields(method: str, path_template: str) -> dict[str, dict[str, Any]] | None:
    wanted = path_template.rstrip("/")
    for operation in engine_fields()["operations"]:
        if operation["method"] == method and operation["path"].rstrip("/") == wanted:
            name = operation["responses"].get("200")
            schema: dict[str, dict[str, Any]] | None = engine_fields()["schemas"].get(name)
            return schema
    raise LookupError(f"Vault 2.1.0's own document has no {method} {path_template}")
