# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Stands in for the get-pip.py that ansible-test downloads: installs the pip that Python brings, then the pinned one.

It needs nothing but the configured package index, where the original comes from a host of its own.
"""

from __future__ import annotations

import ensurepip
import os
import subprocess
import sys

# ensurepip makes this process forget pip's configuration, and with it the package index.
environment = os.environ.copy()
ensurepip.bootstrap()
pins = [argument for argument in sys.argv[1:] if "==" in argument]
command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *pins]
subprocess.check_call(command, env=environment)
