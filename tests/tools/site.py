# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.tools.site``: the documentation as a site, in ``build/docs/html``. Nothing is fetched from anywhere.

The pages of ``docs/`` are read as they are. ``docs/README.md`` becomes the start page, and its list of pages the navigation;
antsibull-docs writes the modules' reference.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .ansible_test import home
from .tree import BUILD, REPOSITORY

_DOCS = REPOSITORY / "docs"
REPOSITORY_URL = "https://github.com/certops/vault_extca/blob/main/"
_PAGE = re.compile(r"^- \[[^]]+\]\((?P<page>[\w/-]+)\.md\)", re.MULTILINE)
# What antsibull-docs writes for docs.ansible.com: a table of contents that this theme has beside the page, and a title of its own.
_CONTENTS = re.compile(r"^\.\. contents::\n(?: +:\w+:.*\n)+", re.MULTILINE)
_TITLE = re.compile(r"^Certops\.Vault_Extca\n=+$", re.MULTILINE)
_REFERENCE = "Modules, lookup, filters, role"
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)


class SiteError(Exception):
    """The site cannot be built."""


def navigation(readme: str) -> list[tuple[str, list[str]]]:
    """The headings of the start page, and the pages that each lists."""
    sections = re.split(r"^## +(.+)$", readme, flags=re.MULTILINE)[1:]
    return [(title, _PAGE.findall(body)) for title, body in zip(sections[::2], sections[1::2], strict=True)]


def _toctrees(readme: str) -> str:
    trees = [*navigation(readme), ("Reference", [f"{_REFERENCE} <reference/index>"])]
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(pages) + "\n```\n" for title, pages in trees
    )


def _with_links(text: str, depth: int, modules: set[str]) -> str:
    """Names of modules lead to their reference, and links out of ``docs/`` to the repository."""

    def module(match: re.Match[str]) -> str:
        name = match[1]
        return f"[`{name}`]({'../' * depth}reference/{name}_module.rst)" if name in modules else match[0]

    pieces = _FENCE.split(text)
    for at in range(0, len(pieces), 2):
        piece = re.sub(r"(?<!\[)`(vault_extca_\w+)`(?!\])", module, pieces[at])
        pieces[at] = re.sub(rf"\]\((?:\.\./){{{depth + 1}}}", f"]({REPOSITORY_URL}", piece)
    return "".join(pieces)


def _copy_pages(source: Path) -> None:
    modules = {path.stem for path in (REPOSITORY / "plugins" / "modules").glob("vault_extca_*.py")}
    for path in sorted(_DOCS.rglob("*")):
        name = path.relative_to(_DOCS)
        target = source / name
        if path.is_dir() or "__pycache__" in name.parts:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".md":
            shutil.copy(path, target)
        elif str(name) == "README.md":
            (source / "index.md").write_text(_with_links(path.read_text(), 0, modules) + _toctrees(path.read_text()))
        else:
            target.write_text(_with_links(path.read_text(), len(name.parts) - 1, modules))


def _fit_reference(directory: Path) -> None:
    for path in directory.glob("*.rst"):
        text = _CONTENTS.sub("", path.read_text())
        path.write_text(_TITLE.sub(f"{_REFERENCE}\n{'=' * len(_REFERENCE)}", text))


def _run(*command: str) -> None:
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "links"),
        "ANSIBLE_HOME": str(home() / ".ansible"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    done = subprocess.run(command, cwd=REPOSITORY, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SiteError(f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")


def build(directory: Path = BUILD / "docs") -> Path:
    """Build the site below a directory, which is emptied; returns the site's own directory, ``html``."""
    shutil.rmtree(directory, ignore_errors=True)
    source, html = directory / "source", directory / "html"
    reference = source / "reference"
    reference.mkdir(parents=True, mode=0o755)
    reference.chmod(0o755)  # antsibull-docs insists, whatever the umask
    program = str(Path(sys.executable).with_name("antsibull-docs"))
    _run(
        program,
        "collection",
        "--use-current",
        "--squash-hierarchy",
        "--fail-on-error",
        "--dest-dir",
        str(reference),
        "certops.vault_extca",
    )
    _fit_reference(reference)
    _copy_pages(source)
    _run(
        sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "-q", "-b", "html", str(source), str(html)
    )
    return html


def main() -> int:
    """0 if the site is complete, with no warning."""
    try:
        site = build()
    except SiteError as error:
        print(f"docs: {error}", file=sys.stderr)
        return 1
    print(f"docs: {len(list(site.rglob('*.html')))} pages in {site.relative_to(REPOSITORY)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
