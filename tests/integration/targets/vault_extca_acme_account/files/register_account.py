# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python register_account.py DIRECTORY_URL CA_FILE``: registers an ACME account and prints its key (PEM)."""

from __future__ import annotations

import sys

from acme import client, messages
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from josepy.jwa import ES384
from josepy.jwk import JWKEC

directory_url, ca_file = sys.argv[1:]
key = ec.generate_private_key(ec.SECP384R1())
network = client.ClientNetwork(JWKEC(key=key), alg=ES384)
network.verify_ssl = ca_file  # type: ignore[assignment]  # requests takes the path of a CA, the annotation only a bool
acme = client.ClientV2(client.ClientV2.get_directory(directory_url, network), network)
acme.new_account(messages.NewRegistration.from_data(email="client@example.com", terms_of_service_agreed=True))
sys.stdout.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
