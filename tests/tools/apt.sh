#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
#
# Installs the Debian packages that the demo and the tests start: an ACME server, a DNS server, web servers, an SSH
# server, openssl and shellcheck, and the packages of the programs given as arguments. Installs only what is missing,
# starts no service, and needs root (or sudo without a password) only where something is missing.
set -euo pipefail

declare -A package_of=(
    [pebble]=pebble [pebble-challtestsrv]=pebble [named]=bind9 [nginx]=nginx-light
    [haproxy]=haproxy [openssl]=openssl [shellcheck]=shellcheck [ssh-keygen]=openssh-client
    [sshd]=openssh-server
)
for program in "$@"; do
    package_of[$program]=$program
done

# named and nginx are in /usr/sbin, which is not on every user's path.
PATH="$PATH:/usr/sbin:/sbin"

missing=()
for program in "${!package_of[@]}"; do
    command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
[ "${#missing[@]}" -gt 0 ] || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

give_up() {
    printf 'apt: %s\nInstall these packages, then try again: %s\n' "$1" "${missing[*]}" >&2
    exit 1
}

command -v apt-get >/dev/null || give_up "this machine has no apt-get (Debian and Ubuntu have)."
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || give_up "not root, and sudo asks for a password."
    as_root=(sudo -n)
fi

# dpkg asks policy-rc.d before it starts a service of a new package; 101 says no. A machine that has its own
# policy keeps it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

printf 'apt: installing %s\n' "${missing[*]}"
install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}")
if ! "${as_root[@]}" "${install[@]}" </dev/null; then
    # A machine fresh from an image has no package lists, or old ones.
    "${as_root[@]}" apt-get update -q </dev/null || give_up "apt-get update failed."
    "${as_root[@]}" "${install[@]}" </dev/null || give_up "apt-get install failed."
fi
