# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""An SSH server on loopback that lets in whoever runs the tests, with a key of its own."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .ports import free_port
from .process import Service, answers, program

# As root, sshd insists on this directory, which Debian's unit makes.
_PRIVILEGE_SEPARATION = Path("/run/sshd")
_SSHD_CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey {directory}/host
AuthorizedKeysFile {directory}/user.pub
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
Subsystem sftp internal-sftp
"""


class Sshd(Service):
    """A running sshd."""

    name = "sshd"

    def prepare(self) -> None:
        self.port = free_port()
        for name in ("host", "user"):
            key = self.directory / name
            if not key.exists():
                command = [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
                subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        algorithm, public = (self.directory / "host.pub").read_text().split()[:2]
        (self.directory / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {algorithm} {public}\n")
        configuration = _SSHD_CONFIG.format(port=self.port, directory=self.directory)
        (self.directory / "sshd_config").write_text(configuration)
        if os.geteuid() == 0:
            _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)

    def command(self) -> Sequence[str]:
        return [program("sshd"), "-D", "-e", "-f", str(self.directory / "sshd_config")]

    def is_ready(self) -> bool:
        return answers(self.port)

    def host_variables(self) -> dict[str, object]:
        """What Ansible must know to connect."""
        # Connections that are kept for the next task end soon after the last one.
        options = ["-F", "/dev/null", "-o", "ControlMaster=auto", "-o", "ControlPersist=5s"]
        return {
            "ansible_connection": "ssh",
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": getpass.getuser(),
            "ansible_ssh_private_key_file": str(self.directory / "user"),
            "ansible_ssh_args": " ".join([*options, "-o", f"UserKnownHostsFile={self.directory / 'known_hosts'}"]),
            "ansible_host_key_checking": True,
        }
