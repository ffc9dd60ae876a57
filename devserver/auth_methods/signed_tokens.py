# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The ``jwt`` and ``kubernetes`` auth methods: a signed token, verified with configured public keys.

Signatures are really verified. What would need a network (OIDC discovery, JWKS, Kubernetes' TokenReview) is not here.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.types import Options

from ..framework import Clock, Field, Kind, MountContext, Operation, Path, Refusal, Request, Response, invalid
from .common import Config, Method, Table, login

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_SKEW = 60  # seconds of difference between clocks that are forgiven
_SIGNATURE_ALONE: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
}
_LOGIN_FIELDS: Mapping[str, Field] = {"role": Field(), "jwt": Field()}
_JWT_CONFIG: Mapping[str, Field] = {
    "jwt_validation_pubkeys": Field(Kind.LIST),
    "jwt_supported_algs": Field(Kind.LIST, allowed=_ALGORITHMS),
    "bound_issuer": Field(),
    "default_role": Field(),
    "oidc_discovery_url": Field(),
    "jwks_url": Field(),
}
_JWT_ROLE: Mapping[str, Field] = {
    "role_type": Field(default="jwt"),
    "user_claim": Field(),
    "bound_audiences": Field(Kind.LIST),
    "bound_subject": Field(),
    "bound_claims": Field(Kind.MAP),
    "bound_claims_type": Field(default="string", allowed=("", "string", "glob")),
    "claim_mappings": Field(Kind.MAP),
    "clock_skew_leeway": Field(Kind.DURATION),
    "expiration_leeway": Field(Kind.DURATION),
    "not_before_leeway": Field(Kind.DURATION),
}
_KUBERNETES_CONFIG: Mapping[str, Field] = {
    "kubernetes_host": Field(),
    "kubernetes_ca_cert": Field(),
    "pem_keys": Field(Kind.LIST),
    "issuer": Field(),
    "disable_iss_validation": Field(Kind.BOOL, default=True),
    "disable_local_ca_jwt": Field(Kind.BOOL),
    "token_reviewer_jwt": Field(),
    "use_annotations_as_alias_metadata": Field(Kind.BOOL),
}
_KUBERNETES_ROLE: Mapping[str, Field] = {
    "bound_service_account_names": Field(Kind.LIST),
    "bound_service_account_namespaces": Field(Kind.LIST),
    "audience": Field(),
    "alias_name_source": Field(default="serviceaccount_uid", allowed=("", "serviceaccount_uid", "serviceaccount_name")),
}


class Jwt(Method):
    """https://developer.hashicorp.com/vault/api-docs/auth/jwt, for tokens signed by configured keys."""

    type = "jwt"

    def __init__(self, context: MountContext) -> None:
        self._clock = context.clock
        self._config = Config(context.storage, _JWT_CONFIG, check=_check_jwt_config)
        self._roles = Table(context.storage, "role", _JWT_ROLE, check=_check_jwt_role)
        self.paths: Sequence[Path] = [
            Path("login", {Operation.UPDATE: self._login}, _LOGIN_FIELDS, unauthenticated=True),
            self._config.path(),
            *self._roles.paths(),
        ]

    def _login(self, request: Request) -> Response:
        config = self._config.get()
        name = request.get("role") or config["default_role"]
        if not name:
            raise invalid("missing role")
        role = self._roles.get(name)
        if role is None:
            raise invalid(f'role "{name}" could not be found')
        if not request.get("jwt"):
            raise invalid("missing token")
        claims = _verified(request.get("jwt"), config["jwt_validation_pubkeys"], config["jwt_supported_algs"])
        leeway = role["clock_skew_leeway"] or _SKEW
        _check_times(claims, self._clock, role["expiration_leeway"] or leeway, role["not_before_leeway"] or leeway)
        if config["bound_issuer"] and claims.get("iss") != config["bound_issuer"]:
            raise _not_valid("invalid issuer (iss) claim")
        _check_audience(claims, role["bound_audiences"])
        if role["bound_subject"] and claims.get("sub") != role["bound_subject"]:
            raise _not_valid("invalid subject (sub) claim")
        _check_bound_claims(claims, role)
        user = claims.get(role["user_claim"])
        if not isinstance(user, str) or not user:
            raise invalid(f'claim "{role["user_claim"]}" not found in token, or not a text')
        metadata = {"role": name}
        for claim, key in role["claim_mappings"].items():
            if isinstance(claims.get(claim), str):
                metadata[key] = claims[claim]
        return login(role, alias=user, display_name=f"jwt-{user}", metadata=metadata)


class Kubernetes(Method):
    """https://developer.hashicorp.com/vault/api-docs/auth/kubernetes, with ``pem_keys`` and without TokenReview."""

    type = "kubernetes"

    def __init__(self, context: MountContext) -> None:
        self._clock = context.clock
        hidden = frozenset({"token_reviewer_jwt"})
        self._config = Config(context.storage, _KUBERNETES_CONFIG, hidden=hidden, check=_check_kubernetes_config)
        self._roles = Table(context.storage, "role", _KUBERNETES_ROLE, check=_check_kubernetes_role)
        self.paths: Sequence[Path] = [
            Path("login", {Operation.UPDATE: self._login}, _LOGIN_FIELDS, unauthenticated=True),
            self._config.path(),
            *self._roles.paths(),
        ]

    def _login(self, request: Request) -> Response:
        if not request.get("role"):
            raise invalid("missing role")
        if not request.get("jwt"):
            raise invalid("missing jwt")
        role = self._roles.get(request.get("role"))
        if role is None:
            raise invalid(f'invalid role name "{request.get("role")}"')
        config = self._config.get()
        if not config["pem_keys"]:
            raise invalid("no pem_keys are configured, and the development server asks no Kubernetes API")
        claims = _verified(request.get("jwt"), config["pem_keys"], ())
        _check_times(claims, self._clock, _SKEW, _SKEW)
        if not config["disable_iss_validation"] and config["issuer"] and claims.get("iss") != config["issuer"]:
            raise Refusal(403, "invalid issuer (iss) claim")
        if role["audience"] and role["audience"] not in _audiences(claims):
            raise Refusal(403, "invalid audience (aud) claim")
        namespace, account, uid = _service_account(claims)
        if not _bound(account, role["bound_service_account_names"]):
            raise Refusal(403, "service account name not authorized")
        if not _bound(namespace, role["bound_service_account_namespaces"]):
            raise Refusal(403, "namespace not authorized")
        by_name = role["alias_name_source"] == "serviceaccount_name"
        metadata = {
            "role": request.get("role"),
            "service_account_name": account,
            "service_account_namespace": namespace,
            "service_account_secret_name": "",
            "service_account_uid": uid,
        }
        alias = f"{namespace}/{account}" if by_name else uid
        return login(role, alias=alias, display_name=f"kubernetes-{namespace}-{account}", metadata=metadata)


def _check_jwt_config(request: Request, stored: dict[str, Any]) -> None:
    if stored["oidc_discovery_url"] or stored["jwks_url"]:
        raise invalid("the development server fetches no keys: use jwt_validation_pubkeys")
    _load_keys(stored["jwt_validation_pubkeys"])


def _check_jwt_role(request: Request, stored: dict[str, Any]) -> None:
    if stored["role_type"] != "jwt":
        raise invalid(f"role_type {stored['role_type']!r}: the development server has only jwt")
    if not stored["user_claim"]:
        raise invalid("a user claim must be defined on the role")
    if not (stored["bound_audiences"] or stored["bound_subject"] or stored["bound_claims"]):
        raise invalid("must have at least one bound constraint when creating/updating a role")


def _check_kubernetes_config(request: Request, stored: dict[str, Any]) -> None:
    if not stored["kubernetes_host"]:
        raise invalid("no host provided")
    _load_keys(stored["pem_keys"])


def _check_kubernetes_role(request: Request, stored: dict[str, Any]) -> None:
    for field in ("bound_service_account_names", "bound_service_account_namespaces"):
        if not stored[field]:
            raise invalid(f'"{field}" can not be empty')


def _load_keys(texts: Iterable[str]) -> list[Any]:
    """Public keys of PEM texts, each a key or a certificate."""
    keys: list[Any] = []
    for text in texts:
        try:
            if "CERTIFICATE" in text:
                keys.append(x509.load_pem_x509_certificate(text.encode()).public_key())
            else:
                keys.append(load_pem_public_key(text.encode()))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise invalid(f"error parsing public key: {error}") from None
    return keys


def _verified(token: str, keys: Iterable[str], algorithms: Sequence[str]) -> dict[str, Any]:
    """Claims of a token that one of the keys has signed. Times and audiences are left to the caller."""
    for key in _load_keys(keys):
        try:
            claims: dict[str, Any] = jwt.decode(
                token, key, algorithms=list(algorithms or _ALGORITHMS), options=_SIGNATURE_ALONE
            )
        except (jwt.InvalidTokenError, TypeError, ValueError):
            continue
        return claims
    raise _not_valid("failed to verify signature: no known key successfully validated the token signature")


def _check_times(claims: Mapping[str, Any], clock: Clock, expiration_leeway: int, not_before_leeway: int) -> None:
    times = {name: claims.get(name) for name in ("exp", "nbf", "iat")}
    if not any(isinstance(value, (int, float)) for value in times.values()):
        raise _not_valid("no issued at (iat), not before (nbf), or expiration time (exp) claims in token")
    now = clock.now().timestamp()
    expires, begins = times["exp"], times["nbf"]
    if isinstance(expires, (int, float)) and now > expires + expiration_leeway:
        raise _not_valid("invalid expiration time (exp) claim: token is expired")
    if isinstance(begins, (int, float)) and now < begins - not_before_leeway:
        raise _not_valid("invalid not before (nbf) claim: token not yet valid")


def _audiences(claims: Mapping[str, Any]) -> list[str]:
    audience = claims.get("aud") or []
    return [str(one) for one in (audience if isinstance(audience, list) else [audience])]


def _check_audience(claims: Mapping[str, Any], bound: Sequence[str]) -> None:
    audiences = _audiences(claims)
    if not bound and audiences:
        raise _not_valid("audience claim found in JWT but no audiences bound to the role")
    if bound and not set(bound) & set(audiences):
        raise _not_valid("invalid audience (aud) claim: audience claim does not match any bound audience")


def _check_bound_claims(claims: Mapping[str, Any], role: Mapping[str, Any]) -> None:
    for name, wanted in role["bound_claims"].items():
        actual = claims.get(name)
        if actual is None:
            raise invalid(f'error validating claims: claim "{name}" is missing')
        values = actual if isinstance(actual, list) else [actual]
        patterns = wanted if isinstance(wanted, list) else [wanted]
        glob = role["bound_claims_type"] == "glob"
        for value in values:
            if any(fnmatch.fnmatchcase(str(value), str(p)) if glob else value == p for p in patterns):
                break
        else:
            raise invalid(f'error validating claims: claim "{name}" does not match any associated bound claim values')


def _service_account(claims: Mapping[str, Any]) -> tuple[str, str, str]:
    """Namespace, name and uid, of a projected token or of one from a secret."""
    projected = claims.get("kubernetes.io")
    if isinstance(projected, dict) and isinstance(projected.get("serviceaccount"), dict):
        account = projected["serviceaccount"]
        found = (projected.get("namespace"), account.get("name"), account.get("uid"))
    else:
        prefix = "kubernetes.io/serviceaccount/"
        names = ("namespace", "service-account.name", "service-account.uid")
        found = tuple(claims.get(prefix + name) for name in names)  # type: ignore[assignment]
    if not all(isinstance(one, str) and one for one in found):
        raise Refusal(403, "the token is none of a Kubernetes service account")
    namespace, name, uid = found
    return str(namespace), str(name), str(uid)


def _bound(value: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns)


def _not_valid(reason: str) -> Refusal:
    return invalid(f"error validating token: {reason}")
