# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""nginx with a configuration of the test's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from .process import Service, answers, program

_NGINX_CONF = """\
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
    access_log {directory}/access.log;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{http}
}}
"""


def webroot_server(port: int, webroot: Path, fallback_port: int | None = None) -> str:
    """A server block: ACME challenges from a webroot, and from another loopback port where the webroot has no file."""
    fallback = "=404" if fallback_port is None else "@fallback"
    location = (
        f"location @fallback {{ proxy_set_header Host $host; proxy_pass http://127.0.0.1:{fallback_port}; }}"
        if fallback_port is not None
        else ""
    )
    return (
        f"server {{ listen 127.0.0.1:{port}; root {webroot}; default_type text/plain;"
        f" location /.well-known/acme-challenge/ {{ try_files $uri {fallback}; }} {location} }}"
    )


class Nginx(Service):
    """A running nginx; ``http`` is the text of its http block, or makes it from the service's directory."""

    name = "nginx"

    def __init__(self, http: str | Callable[[Path], str], ports: Sequence[int]) -> None:
        """``ports`` are those that the configuration listens on: nginx is ready when all of them answer."""
        super().__init__()
        self.http = http
        self.ports = tuple(ports)

    def prepare(self) -> None:
        http = self.http if isinstance(self.http, str) else self.http(self.directory)
        # Workers of a root's nginx would be "nobody", who may not read temporary directories.
        user = "user root;" if os.geteuid() == 0 else ""
        configuration = _NGINX_CONF.format(user=user, directory=self.directory, http=http)
        (self.directory / "nginx.conf").write_text(configuration)

    def command(self) -> Sequence[str]:
        return [program("nginx"), "-p", str(self.directory), "-c", str(self.directory / "nginx.conf"), "-e", "stderr"]

    def is_ready(self) -> bool:
        return all(map(answers, self.ports))

    @property
    def access_log(self) -> str:
        """The requests so far, one a line."""
        return (self.directory / "access.log").read_text()
