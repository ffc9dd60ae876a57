# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Auth methods: a row each. hvac does the logins; this says what each needs and what its failure means."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence
from urllib.parse import quote

from .vault_errors import BadRequest, InvalidInput, LoginFailed, MissingLibrary, NotFound, PermissionDenied, VaultError
from .vault_settings import VaultSettings

Options = Mapping[str, Any]


class AuthMethod(NamedTuple):
    """How one method logs in: the options it cannot do without, and hvac's call."""

    required: Sequence[str]
    call: Callable[[Any, Options, Dict[str, str]], Any]  # (hvac client, options, {"mount_point": …} if given)


def _approle(client: Any, options: Options, mount: Dict[str, str]) -> Any:
    return client.auth.approle.login(role_id=options["role_id"], secret_id=options.get("secret_id"), **mount)


def _userpass(client: Any, options: Options, mount: Dict[str, str]) -> Any:
    return client.auth.userpass.login(username=options["username"], password=options["password"], **mount)


def _ldap(client: Any, options: Options, mount: Dict[str, str]) -> Any:
    return client.auth.ldap.login(username=options["username"], password=options["password"], **mount)


def _jwt(client: Any, options: Options, mount: Dict[str, str]) -> Any:
    path = {"path": mount["mount_point"]} if mount else {}
    return client.auth.jwt.jwt_login(role=options["role_id"], jwt=options["jwt"], **path)


def _kubernetes(client: Any, options: Options, mount: Dict[str, str]) -> Any:
    return client.auth.kubernetes.login(role=options["role_id"], jwt=_service_account_token(options), **mount)


def _cert(client: Any, options: Options, mount: Dict[str, str]) -> Any:
    # TLS presents the certificate already; the role only narrows which configured one it must match. hvac's own call
    # would open the files once more, and refuses where the server's certificate is not validated.
    body = {"name": options["role_id"]} if options.get("role_id") else {}
    return client.post(f"auth/{mount.get('mount_point', 'cert')}/login", body)


def _aws_iam(client: Any, options: Options, mount: Dict[str, str]) -> Any:
    access_key, secret_key, session_token = _aws_credentials(options)
    return client.auth.aws.iam_login(
        access_key=access_key,
        secret_key=secret_key,
        session_token=session_token,
        header_value=options.get("aws_iam_server_id"),
        role=options.get("role_id"),
        region=options.get("region") or "us-east-1",
        **mount,
    )


def _azure(client: Any, options: Options, mount: Dict[str, str]) -> Any:
    return client.auth.azure.login(role=options["role_id"], jwt=options.get("jwt") or _azure_token(options), **mount)


def _gcp(client: Any, options: Options, mount: Dict[str, str]) -> Any:
    return client.auth.gcp.login(role=options["role_id"], jwt=options["jwt"], **mount)


LOGINS: Mapping[str, AuthMethod] = {
    "approle": AuthMethod(["role_id"], _approle),
    "userpass": AuthMethod(["username", "password"], _userpass),
    "ldap": AuthMethod(["username", "password"], _ldap),
    "jwt": AuthMethod(["role_id", "jwt"], _jwt),
    "kubernetes": AuthMethod(["role_id"], _kubernetes),
    "cert": AuthMethod(["cert_auth_public_key", "cert_auth_private_key"], _cert),
    "aws_iam": AuthMethod([], _aws_iam),
    "azure": AuthMethod(["role_id"], _azure),
    "gcp": AuthMethod(["role_id", "jwt"], _gcp),
}
# What a login shows Vault that nobody else may see, by the names in its request.
_PROOFS = ("password", "secret_id", "jwt", "iam_request_headers")
AUTH_METHODS: List[str] = ["token", *LOGINS, "none"]


def log_in(connection: Any, client: Any, settings: VaultSettings) -> bool:
    """Give the client a token. Returns whether that token came from a login and should be revoked afterwards."""
    method = settings.options.get("auth_method") or "token"
    if method == "none":
        return False
    if method == "token":
        client.token = find_token(settings)
        connection.hide(client.token)
        if settings.options.get("token_validate"):
            _validate(connection)
        return False
    row = LOGINS[method]
    options = _effective(settings)
    missing = [name for name in row.required if options.get(name) in (None, "")]
    if missing:
        raise InvalidInput(f"auth_method {method} needs {' and '.join(missing)}.")
    if method == "cert" and not settings.address().startswith("https:"):
        raise InvalidInput("auth_method cert needs TLS, and url begins with http:.")
    mount_point = str(options.get("mount_point") or "").strip("/")
    mount = {"mount_point": mount_point} if mount_point else {}
    try:
        options = _with_unwrapped_secret_id(connection, client, options)
        auth = _auth_of(method, row.call(_Caller(connection, client), options, mount))
    except (BadRequest, PermissionDenied, NotFound) as error:
        said = "; ".join(" ".join(one.split()) for one in error.errors) or f"status {error.status}"
        raise LoginFailed(
            f"The login with auth_method {method} at auth/{mount_point or method.split('_')[0]} failed: {said.rstrip('.')}. "
            f"Check {_shown(options, row) or 'its credentials'}, mount_point and namespace.",
            status=error.status,
            path=error.path,
        ) from None
    client.token = auth["client_token"]
    connection.hide(client.token)
    # A batch token cannot be revoked; it ends by itself.
    return bool(options.get("revoke_token", True)) and auth.get("token_type") != "batch"


def _shown(options: Options, row: AuthMethod) -> str:
    """What a login has shown to Vault: the options that it needs, and those of the others that can be wrong."""
    optional = [name for name in ("secret_id", "jwt") if options.get(name)]
    return " and ".join(dict.fromkeys([*row.required, *optional]))


def find_token(settings: VaultSettings) -> str:
    """The token: option, then VAULT_TOKEN, then the file ``token_file`` in ``token_path`` or the home directory."""
    options = settings.options
    token = settings.value("token")
    if token and str(token).strip():
        return str(token).strip()
    folder = options.get("token_path") or settings.environ.get("HOME") or os.path.expanduser("~")
    path = os.path.join(folder, options.get("token_file") or ".vault-token")
    try:
        with open(path, encoding="utf-8") as file:
            token = file.read().strip()
    except FileNotFoundError:
        token = ""
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"The token file {path} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}."
        ) from None
    if not token:
        raise InvalidInput(
            f"There is no Vault token: the option token and VAULT_TOKEN are empty, and {path} does not hold one. "
            "Give one of them, or another auth_method."
        )
    return str(token)


def _validate(connection: Any) -> None:
    try:
        connection.request("GET", "auth/token/lookup-self")
    except PermissionDenied as error:
        raise LoginFailed(
            "Vault does not accept the token that was given: it has expired, was revoked, belongs to another Vault or namespace, "
            "or may not look itself up (then leave token_validate out).",
            status=error.status,
            path=error.path,
        ) from None


def _effective(settings: VaultSettings) -> Dict[str, Any]:
    """The options, with the client certificate that the environment may name."""
    names = ("cert_auth_public_key", "cert_auth_private_key")
    return {**settings.options, **{name: settings.value(name) for name in names}}


class _Caller:
    """hvac's auth methods over our own requests, so that a login meets the same errors, redirects and limits as all else."""

    def __init__(self, connection: Any, client: Any) -> None:
        from hvac.api import AuthMethods

        adapter = _LoginAdapter(connection, client.adapter)
        self.auth = AuthMethods(adapter=adapter)
        self.post = lambda path, body: adapter.login(f"/v1/{quote(path)}", json=body)


class _LoginAdapter:
    def __init__(self, connection: Any, adapter: Any) -> None:
        self._connection = connection
        self._adapter = adapter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def login(self, url: str, use_token: bool = True, **kwargs: Any) -> Any:
        # hvac hands over "/v1/auth/<mount>/login…" and what it would send; the certificate is the session's already.
        body = {key: value for key, value in (kwargs.get("json") or {}).items() if value is not None}
        # Those that come from a file or from a cloud are in no option that Ansible hides.
        for name in _PROOFS:
            self._connection.hide(body.get(name))
        return self._connection.request("POST", url.split("/v1/", 1)[1], body=body).body

    def post(self, url: str, **kwargs: Any) -> Any:
        return self.login(url, **kwargs)


def _auth_of(method: str, body: Any) -> Dict[str, Any]:
    auth = body.get("auth") if isinstance(body, dict) else None
    token = auth.get("client_token") if isinstance(auth, dict) else None
    if not isinstance(token, str) or not token:
        raise LoginFailed(f"The login with auth_method {method} was answered without a token. Check mount_point.")
    return dict(auth or {})


def _with_unwrapped_secret_id(connection: Any, client: Any, options: Dict[str, Any]) -> Dict[str, Any]:
    """Exchange ``wrapped_secret_id`` for the secret id it wraps: it can be opened once, so a thief is noticed."""
    wrapping_token = options.get("wrapped_secret_id")
    if not wrapping_token:
        return options
    # Who has no token yet unwraps with the wrapping token as its token, as Vault's command line does.
    client.token = str(wrapping_token).strip()
    try:
        answer = connection.request("POST", "sys/wrapping/unwrap", body={}, once=True)
    except VaultError as error:
        if error.transient:
            raise
        raise LoginFailed(
            "wrapped_secret_id cannot be unwrapped: it has expired, or somebody has opened it before. If nobody of yours has, "
            "treat the secret id as stolen and destroy it.",
            status=error.status,
            path=error.path,
        ) from None
    finally:
        client.token = ""
    secret_id = (answer.data or {}).get("secret_id")
    if not isinstance(secret_id, str):
        raise LoginFailed("wrapped_secret_id does not wrap a secret id of an AppRole.")
    return dict(options, secret_id=secret_id)


def _service_account_token(options: Options) -> str:
    if options.get("jwt"):
        return str(options["jwt"])
    path = options.get("kubernetes_token_path") or "/var/run/secrets/kubernetes.io/serviceaccount/token"
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"auth_method kubernetes needs jwt, or a service account token in {path}, which cannot be read: "
            f"{getattr(error, 'strerror', None) or 'it is not text'}."
        ) from None


def _aws_credentials(options: Options) -> Any:
    if options.get("aws_access_key") and options.get("aws_secret_key"):
        return options["aws_access_key"], options["aws_secret_key"], options.get("aws_security_token")
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise MissingLibrary("boto3", error) from None
    try:
        credentials = boto3.session.Session(profile_name=options.get("aws_profile")).get_credentials()
    except BotoCoreError as error:
        raise InvalidInput(f"auth_method aws_iam found no AWS credentials: {error}.") from None
    if credentials is None:
        raise InvalidInput(
            "auth_method aws_iam found no AWS credentials. Give aws_access_key and aws_secret_key, or aws_profile."
        )
    return credentials.access_key, credentials.secret_key, credentials.token


def _azure_token(options: Options) -> str:
    try:
        import azure.identity
    except ImportError as error:
        raise MissingLibrary("azure-identity", error) from None
    client_id = options.get("azure_client_id")
    if client_id and options.get("azure_client_secret"):
        if not options.get("azure_tenant_id"):
            raise InvalidInput("auth_method azure with azure_client_secret needs azure_tenant_id.")
        credential: Any = azure.identity.ClientSecretCredential(
            options["azure_tenant_id"], client_id, options["azure_client_secret"]
        )
    else:
        credential = azure.identity.ManagedIdentityCredential(**({"client_id": client_id} if client_id else {}))
    resource = options.get("azure_resource") or "https://management.azure.com/"
    try:
        return str(credential.get_token(f"{resource.rstrip('/')}/.default").token)
    except Exception as error:  # azure-identity's errors share no public base class over its versions
        raise LoginFailed(
            f"Azure gave no token for auth_method azure: {type(error).__name__}. Check the azure_* options."
        ) from None
