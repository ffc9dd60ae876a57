# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Dynamic DNS updates (RFC 2136) signed with TSIG (RFC 8945), through dnspython."""

from __future__ import annotations

import base64
import binascii
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

ALGORITHMS = ("hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")

_TIMEOUT = 5.0  # seconds for one exchange with the name server


class DnsError(Exception):
    """A DNS provider could not do what was asked. ``transient`` says that trying again may help."""

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


def parse_nameserver(text: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[address]:port``. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not bare or (":" in bare and not host.startswith("[")):
        raise ValueError(f"{text!r} is not of the form host:port")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} has no valid port")
    return bare, int(port)


@dataclass(frozen=True)
class NameServer:
    """A primary name server that takes updates."""

    nameserver: str  # host:port
    key_name: str
    secret: str = field(repr=False)  # base64
    algorithm: str
    ttl: int

    def add_txt(self, name: str, value: str) -> None:
        """Add a TXT record beside those that are there."""
        update = self._update_for(name)
        update.add(dns.name.from_text(name), self.ttl, "TXT", f'"{value}"')
        self._send(update, f"add the TXT record {name}")

    def remove_txt(self, name: str, value: str) -> None:
        """Remove one value of a TXT record; nothing there is fine."""
        update = self._update_for(name)
        update.delete(dns.name.from_text(name), "TXT", f'"{value}"')
        self._send(update, f"remove the TXT record {name}")

    def lookup_txt(self, name: str) -> list[str]:
        """The values of a TXT record as the name server serves them."""
        answer = self._ask(dns.message.make_query(name, "TXT"))
        values = []
        for rrset in answer.answer:
            if rrset.rdtype == dns.rdatatype.TXT:
                values += [b"".join(one.strings).decode("utf-8", "replace") for one in rrset]
        return values

    def _update_for(self, name: str) -> dns.update.UpdateMessage:
        return dns.update.UpdateMessage(self._zone_of(name), keyring=self._key(), keyalgorithm=self.algorithm)

    def _key(self) -> dns.tsig.Key:
        try:
            secret = base64.b64decode(self.secret, validate=True)
        except (binascii.Error, ValueError):
            raise DnsError("tsig_secret is not valid base64") from None
        try:
            return dns.tsig.Key(dns.name.from_text(self.key_name), secret, self.algorithm)
        except dns.exception.DNSException:
            raise DnsError(f"tsig_key_name {self.key_name!r} is not a valid key name") from None

    def _zone_of(self, name: str) -> dns.name.Name:
        """The zone that holds a name: the closest ancestor for which the server has an SOA record."""
        candidate = dns.name.from_text(name)
        while candidate != dns.name.root:
            answer = self._ask(dns.message.make_query(candidate, "SOA"))
            if answer.flags & dns.flags.AA and any(
                rrset.name == candidate and rrset.rdtype == dns.rdatatype.SOA for rrset in answer.answer
            ):
                return candidate
            candidate = candidate.parent()
        raise DnsError(f"the name server {self.nameserver} is not authoritative for a zone that holds {name}")

    def _ask(self, query: dns.message.QueryMessage) -> dns.message.Message:
        host, port = self._address()
        with self._readable(f"look up {query.question[0].name}"):
            # Over TCP, where a server that is not there says so at once.
            return dns.query.tcp(query, host, port=port, timeout=_TIMEOUT)

    def _send(self, update: dns.update.UpdateMessage, purpose: str) -> None:
        host, port = self._address()
        with self._readable(purpose):
            answer = dns.query.tcp(update, host, port=port, timeout=_TIMEOUT)
        if answer.rcode() != dns.rcode.NOERROR:
            rcode = dns.rcode.to_text(answer.rcode())
            raise DnsError(
                f"the name server {self.nameserver} refused to {purpose}: {rcode}",
                transient=answer.rcode() == dns.rcode.SERVFAIL,
            )

    def _address(self) -> tuple[str, int]:
        host, port = parse_nameserver(self.nameserver)
        try:
            return str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]), port
        except (OSError, UnicodeError) as error:  # the second for what cannot be a host name at all
            reason = getattr(error, "strerror", "") or str(error)
            raise DnsError(f"the host of nameserver {self.nameserver} does not resolve: {reason}") from None

    @contextlib.contextmanager
    def _readable(self, purpose: str) -> Iterator[None]:
        """Turn what dnspython and sockets raise into a DnsError that says what was wanted of whom."""
        refused = f"the name server {self.nameserver} refused to {purpose}"
        hint = f"check tsig_key_name {self.key_name!r}, tsig_secret and tsig_algorithm {self.algorithm}"
        try:
            yield
        except (dns.tsig.PeerBadKey, dns.message.UnknownTSIGKey):
            raise DnsError(f"{refused}: it does not know the TSIG key (BADKEY); {hint}") from None
        except (dns.tsig.PeerBadSignature, dns.tsig.BadSignature):
            raise DnsError(f"{refused}: the TSIG signature does not verify (BADSIG); {hint}") from None
        except (dns.tsig.PeerBadTime, dns.tsig.BadTime):
            raise DnsError(f"{refused}: its clock and this server's differ too much (BADTIME)") from None
        except dns.exception.Timeout:
            raise DnsError(
                f"the name server {self.nameserver} did not answer when asked to {purpose}", transient=True
            ) from None
        except (dns.exception.DNSException, OSError, EOFError) as error:
            reason = str(error) or type(error).__name__
            raise DnsError(
                f"failed to {purpose} at the name server {self.nameserver}: {reason}", transient=True
            ) from None
