# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""What can go wrong, and what each thing means to the person who has to mend it."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence


class ExtcaError(Exception):
    """A failure with a text for a person; ``details`` are structured return values beside it."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class InvalidInput(ExtcaError):
    """An option's value cannot be right, whatever Vault says."""


class MissingLibrary(ExtcaError):
    """A Python library that the task needs is not on the host that runs it."""

    def __init__(self, name: str, error: ImportError) -> None:
        super().__init__(
            f"The Python library {name} cannot be imported on the host that runs this task ({error}). "
            f"Install it there for the interpreter that Ansible uses, for example with pip install {name}."
        )

    @classmethod
    def of(cls, error: ImportError) -> MissingLibrary:
        """For a library that is imported only where it is needed."""
        return cls((error.name or "cryptography").partition(".")[0], error)


class VaultError(ExtcaError):
    """Vault, or something on the way to it, did not do what was asked.

    ``transient`` says that the same request may well succeed a moment later; ``retry_after`` is what the server asked for,
    in seconds.
    """

    transient = False

    def __init__(
        self,
        message: str,
        *,
        status: Optional[int] = None,
        errors: Sequence[str] = (),
        path: str = "",
        retry_after: Optional[float] = None,
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        self.status = status
        self.errors: List[str] = list(errors)
        self.path = path
        self.retry_after = retry_after


class Unreachable(VaultError):
    """No answer: refused, reset, timed out, no such host, or no trusted TLS connection."""

    def __init__(self, message: str, *, path: str, transient: bool) -> None:
        super().__init__(message, path=path)
        self.transient = transient


class UnexpectedAnswer(VaultError):
    """An answer that is not Vault's: HTML from a load balancer, truncated JSON, values of the wrong types."""

    transient = True


class Unavailable(VaultError):
    """Vault is there but cannot serve this now: 412, 429, 5xx, sealed."""

    transient = True


class BadRequest(VaultError):
    """400 and other refusals of the request itself."""


class NotFound(VaultError):
    """404: nothing there, or no such mount."""


class PermissionDenied(VaultError):
    """403: the token is not valid, or its policies do not permit this.

    ``capabilities`` are what the request may need on ``path``.
    """

    def __init__(self, message: str, *, capabilities: Sequence[str], **more: Any) -> None:
        super().__init__(message, **more)
        self.capabilities = tuple(capabilities)


class LoginFailed(VaultError):
    """The auth method did not give a token."""
