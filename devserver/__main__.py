# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m devserver``: a Vault for development, on loopback."""

from __future__ import annotations

import argparse
import logging
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from .answers import parse
from .app import create_app
from .server import create_server, listen
from .storage import StateFileError
from .vault import Vault

_ANSWER_HELP = "how to answer where Vault's documents do not say; docs/development-vault.md lists them (repeatable)"
_LOG_LEVELS = ("debug", "info", "warning", "error")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    host, port = _address(parser, options.listen)
    if bool(options.tls_cert) != bool(options.tls_key):
        parser.error("--tls-cert and --tls-key go together")
    if options.tls_client_ca and not options.tls_cert:
        parser.error("--tls-client-ca needs --tls-cert and --tls-key")
    try:
        answers = parse(options.answer)
    except ValueError as error:
        parser.error(f"--answer: {error}")
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        vault = Vault(state_file=options.state_file, root_token=options.root_token, answers=answers)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = listen(host, port, family)
        server = create_server(
            create_app(vault),
            listener,
            log_level=options.log_level,
            tls_certificate=options.tls_cert,
            tls_key=options.tls_key,
            tls_client_ca=options.tls_client_ca,
        )
    except (StateFileError, OSError) as error:
        print(f"devserver: {error}", file=sys.stderr)
        return 1
    shown = f"[{host}]" if ":" in host else host
    url = f"{'https' if options.tls_cert else 'http'}://{shown}:{listener.getsockname()[1]}"
    server.on_ready = lambda: print(f"devserver ready: VAULT_ADDR={url} VAULT_TOKEN={vault.root_token}", flush=True)
    server.run(sockets=[listener])
    return 0 if server.started else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devserver",
        description="A development Vault with the pki-external-ca secrets engine. Not for production.",
    )
    parser.add_argument("--listen", default="127.0.0.1:8200", metavar="HOST:PORT", help="port 0 picks a free one")
    parser.add_argument("--tls-cert", metavar="FILE", help="serve HTTPS with this certificate chain (PEM)")
    parser.add_argument("--tls-key", metavar="FILE", help="its private key (PEM)")
    parser.add_argument("--tls-client-ca", metavar="FILE", help="ask clients for a certificate of these CAs (PEM)")
    parser.add_argument("--root-token", metavar="TOKEN", help="the root token's id (default: random)")
    parser.add_argument("--state-file", type=Path, metavar="FILE", help="keep the state in this SQLite file")
    parser.add_argument("--log-level", choices=_LOG_LEVELS, default="warning")
    parser.add_argument("--answer", action="append", default=[], metavar="OQ-n=ANSWER", help=_ANSWER_HELP)
    return parser


def _address(parser: argparse.ArgumentParser, text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        parser.error(f"--listen: {text!r} is not of the form HOST:PORT, such as 127.0.0.1:8200")
    return host.strip("[]") or "127.0.0.1", int(port)


if __name__ == "__main__":
    sys.exit(main())
