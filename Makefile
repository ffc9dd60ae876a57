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
# Pebble gives up on a challenge after a few seconds, which a busy machine may take: what talks to real services and fails
# is tried once more, and counted as such in the closing line.
AGAIN := --reruns 1
BIN := $(CURDIR)/$(VENV)/bin
COLLECTION := ansible_collections/certops/vault_extca
NAMESPACE := ansible_collections.certops.vault_extca
LINKS := $(CURDIR)/build/links
# Ansible's tools call each other by name, and must leave the user's ~/.ansible alone.
WITH_ANSIBLE = PATH="$(BIN):$$PATH" ANSIBLE_HOME=$(CURDIR)/build/home/.ansible ANSIBLE_COLLECTIONS_PATH=$(LINKS)

.PHONY: help
help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: venv apt links  ## from nothing to an issued certificate, against a development Vault and a real ACME CA
	@$(PY) -m tests.tools.demo

.PHONY: test
test: venv links  ## everything below, two stages at a time, with a table of times
	@tests/tools/apt.sh chromium  # once for all stages: two at a time would wait for each other's lock
	@$(PY) -m tests.tools.stages

# Every linter has its say, whatever the others found.
LINTERS := lint-format lint-style lint-types lint-yaml lint-ansible lint-shell lint-licences lint-changelog lint-docs
.PHONY: lint $(LINTERS)
lint: venv apt links  ## format, style, types, YAML, playbooks, shell, licences, changelog, documentation
	@$(MAKE) --keep-going $(LINTERS) && echo "lint: clean"

lint-format:
	$(BIN)/ruff format --check .

lint-style:
	$(BIN)/ruff check .

lint-types:
	$(BIN)/mypy -p $(NAMESPACE).plugins.module_utils -p $(NAMESPACE).plugins.plugin_utils -p $(NAMESPACE).plugins.filter \
	    -p devserver -p tests

lint-yaml:
	$(BIN)/yamllint --strict .

# The whole collection, and then what .ansible-lint leaves out for Galaxy's sake.
lint-ansible:
	$(WITH_ANSIBLE) ansible-lint --strict --nocolor
	$(WITH_ANSIBLE) ansible-lint --strict --nocolor --offline --profile production --config-file /dev/null \
	    docs/awx/project/renew.yml docs/awx/project/report.yml

lint-shell:
	git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck

lint-licences:
	$(BIN)/reuse lint --quiet || $(BIN)/reuse lint

lint-changelog:
	$(BIN)/antsibull-changelog lint

lint-docs:
	cd $(LINKS)/$(COLLECTION) && $(WITH_ANSIBLE) antsibull-docs lint-collection-docs \
	    --plugin-docs --skip-rstcheck --validate-collection-refs self .

.PHONY: sanity
sanity: venv apt  ## ansible-test sanity, every test, nothing ignored
	@if git ls-files 'tests/sanity/ignore*' | grep .; then echo "sanity: ignore files are not allowed"; exit 1; fi
	@$(PY) -m tests.tools.ansible_test sanity sanity --local --color no
	@echo "sanity: clean"

.PHONY: units
units: venv  ## ansible-test units, with coverage
	@version=$$($(PY) -c 'import sys; print("%d.%d" % sys.version_info[:2])') && $(PY) -m tests.tools.ansible_test \
	    units units --local --python "$$version" --color no --coverage --num-workers 2

.PHONY: devserver-tests
devserver-tests: venv apt links  ## the development Vault's own tests, and those of the testbed
	@$(PY) -m pytest -q -n 2 $(AGAIN) tests/devserver tests/testbed

.PHONY: behaviour
behaviour: venv apt links  ## the modules' behaviour against the development Vault and Pebble, with coverage
	@mkdir -p build/coverage
	@rm -f build/coverage/behaviour*
	@COVERAGE_FILE=$(CURDIR)/build/coverage/behaviour $(PY) -m coverage run -m pytest -q -n 2 $(AGAIN) tests/behaviour

.PHONY: ecosystem
ecosystem: venv apt links  ## progress on terminals, the report, jobs under ansible-runner, AWX's configuration, with coverage
	@mkdir -p build/coverage
	@rm -f build/coverage/ecosystem*
	@COVERAGE_FILE=$(CURDIR)/build/coverage/ecosystem $(PY) -m coverage run -m pytest -q -n 3 $(AGAIN) tests/ecosystem \
	    --ignore-glob 'tests/ecosystem/test_*browser.py' --ignore tests/ecosystem/test_neighbours.py

.PHONY: browser
browser: venv apt links  ## the report's page and the documentation in Debian's Chromium; screenshots in build/screenshots
	@tests/tools/apt.sh chromium
	@$(PY) -m pytest -q -s $(AGAIN) tests/ecosystem/test_browser.py tests/ecosystem/test_site_browser.py

.PHONY: fault-table
fault-table: venv apt links  ## every fault against every module, printed and written to docs/faults.md
	@PYTHONPATH=.:$(LINKS) $(PY) -m tests.behaviour.fault_matrix

PEERS := build/peers
.PHONY: bench
bench: venv apt links $(PEERS)/.installed  ## speed, beside community.hashi_vault and others: a table, and docs/performance.md (a quarter of an hour)
	@PYTHONPATH=.:$(LINKS) $(PY) -m tests.bench

.PHONY: neighbours
neighbours: venv apt links $(PEERS)/.neighbours  ## examples that need awx.awx, amazon.aws or community.general, with them (installs Ansible's package)
	@$(PY) -m pytest -q $(AGAIN) tests/ecosystem/test_neighbours.py

$(PEERS)/.installed: tests/bench/requirements.txt
	@[ -x $(PEERS)/bin/python ] || $(PYTHON) -m venv $(PEERS)
	@echo "peers: installing tests/bench/requirements.txt"
	@$(PEERS)/bin/python -m pip install -q --disable-pip-version-check -r tests/bench/requirements.txt
	@touch $@

$(PEERS)/.neighbours: tests/ecosystem/requirements.txt $(PEERS)/.installed
	@echo "peers: installing tests/ecosystem/requirements.txt"
	@$(PEERS)/bin/python -m pip install -q --disable-pip-version-check -r tests/ecosystem/requirements.txt
	@touch $@

.PHONY: soak
soak: venv apt links  ## 2,000 certificates in a row, the server's memory and the time of a task watched (some ten minutes)
	@PYTHONPATH=.:$(LINKS) $(PY) -m tests.soak

.PHONY: integration
integration: venv apt  ## ansible-test integration, two shards at once, each against services of its own
	@$(PY) -m tests.tools.stages integration-1 integration-2

.PHONY: build
build: venv  ## the collection's artifact: built, installed elsewhere, its documentation read from there
	@$(PY) -m tests.tools.artifact

.PHONY: coverage
coverage: venv  ## line coverage of plugins/ by units, behaviour and integration together
	@$(PY) -m tests.tools.line_coverage

.PHONY: venv
venv: $(STAMP)  ## the Python environment for development, in .venv

$(STAMP): requirements.txt $(wildcard tests/requirements*.txt)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	@[ -x $(PY) ] || $(PYTHON) -m venv $(VENV)
	@echo "venv: installing tests/requirements.txt"
	@$(PY) -m pip install -q --disable-pip-version-check -r tests/requirements.txt
	@touch $@

.PHONY: apt
apt:  ## Debian's pebble, bind9, nginx, openssh, openssl and shellcheck, where missing (root or sudo)
	@tests/tools/apt.sh

.PHONY: links
links:  ## this checkout where Ansible and Python find it as a collection: build/links
	@mkdir -p build/links/$(dir $(COLLECTION))
	@[ -L build/links/$(COLLECTION) ] || ln -s ../../../.. build/links/$(COLLECTION)

.PHONY: changelog
changelog: venv links  ## release the fragments of changelogs/fragments: CHANGELOG.md for galaxy.yml's version
	cd $(LINKS)/$(COLLECTION) && $(WITH_ANSIBLE) antsibull-changelog release

.PHONY: format
format: venv  ## rewrite the Python files as ruff likes them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: docs
docs: venv links  ## the documentation as a site, with pages of all modules, in build/docs/html
	@$(PY) -m tests.tools.site

.PHONY: messages
messages: venv  ## write docs/messages.md: every error message in the code, with cause and remedy
	@$(PY) -m tests.tools.messages

.PHONY: docs-tests
docs-tests: venv apt links  ## every example of the documentation run, links, error messages
	@$(PY) -m pytest -q -n 2 --dist loadfile $(AGAIN) tests/docs

.PHONY: matrix
matrix: venv apt links  ## units, sanity and integration with other versions of all: README's support table (hours; MATRIX="--only 2.18")
	@$(PY) -m tests.tools.matrix $(MATRIX)

.PHONY: certify
certify: venv links  ## what Galaxy and its reviewers check: importer, linters, installation from the artifact and from git
	@$(MAKE) --keep-going lint-ansible lint-docs lint-changelog lint-licences
	@$(PY) -m tests.tools.certify

.PHONY: clean
clean:  ## remove everything that is built, but not the Python environment
	rm -rf build .mypy_cache .pytest_cache .ruff_cache .hypothesis
