# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
#
# Every habit of this repository has a name here; `make help` lists them. Each sets up what it needs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: help
help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: venv
venv: $(STAMP)  ## the Python environment for development, in .venv

$(STAMP): requirements.txt $(wildcard tests/requirements*.txt)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	@[ -x $(PY) ] || $(PYTHON) -m venv $(VENV)
	@echo "venv: installing tests/requirements.txt"
	@$(PY) -m pip install -q --disable-pip-version-check -r tests/requirements.txt
	@touch $@

.PHONY: apt
apt:  ## Debian's pebble, bind9, nginx, openssl and shellcheck, where missing (root or sudo)
	@tests/tools/apt.sh
