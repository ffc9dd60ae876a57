# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``python -m tests.tools.line_coverage``: line coverage of ``plugins/`` by all runners together, held to a floor.

Combines what units, integration, behaviour and ecosystem left, wherever each of them ran the collection from.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .tree import BUILD, COLLECTION, REPOSITORY

FLOOR = 95.0  # percent
_DATA = BUILD / "coverage"


def _measured() -> dict[str, list[Path]]:
    """The data files of each runner."""
    trees = BUILD / "trees"
    found = {
        name: sorted((trees / name / COLLECTION).glob("tests/output/coverage/*coverage*"))
        for name in ("units", "integration-1", "integration-2")
    }
    found |= {name: sorted(_DATA.glob(f"{name}.*")) for name in ("behaviour", "ecosystem")}
    return found


def _coverage(action: str, *arguments: str) -> None:
    # Options go before paths: what follows a path is one to coverage.
    command = [sys.executable, "-m", "coverage", action, "--data-file", str(_DATA / "combined"), *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"coverage: {action} failed: {(done.stdout + done.stderr).strip()[-2000:]}")


def main() -> int:
    """1 where a runner left nothing, or lines are missed beyond the floor."""
    measured = _measured()
    nothing = [name for name, files in measured.items() if not files]
    if nothing:
        print(f"coverage: nothing measured by {', '.join(nothing)}; run make {' '.join(nothing)} first")
        return 1
    _DATA.mkdir(parents=True, exist_ok=True)
    (_DATA / "combined").unlink(missing_ok=True)
    _coverage("combine", "--keep", "--quiet", *(str(file) for files in measured.values() for file in files))
    _coverage("json", "--quiet", "--include", "plugins/*", "-o", str(_DATA / "coverage.json"))
    report = json.loads((_DATA / "coverage.json").read_text())
    summaries = {
        file: entry["summary"] | {"missing": entry["missing_lines"]} for file, entry in report["files"].items()
    }
    # A file that no test imports is in no data file. Fragments of documentation are no code.
    unseen = [
        name
        for path in sorted((REPOSITORY / "plugins").rglob("*.py"))
        if (name := str(path.relative_to(REPOSITORY))) not in summaries
        and path.parent.name != "doc_fragments"
        and path.read_text().strip()
    ]
    for file, summary in sorted(summaries.items()):
        if summary["missing"]:
            percent = 100 * summary["covered_lines"] / summary["num_statements"]
            print(f"{file}: {percent:.0f} %, not run: {', '.join(map(str, summary['missing']))}")
    for file in unseen:
        print(f"{file}: never imported by a test")
    covered = sum(summary["covered_lines"] for summary in summaries.values())
    total = sum(summary["num_statements"] for summary in summaries.values())
    percent = 100 * covered / max(total, 1)
    print(
        f"coverage: {percent:.1f} % of the lines of plugins/ ({covered} of {total}); at least {FLOOR:.0f} % are asked for"
    )
    return 1 if unseen or percent < FLOOR else 0


if __name__ == "__main__":
    sys.exit(main())
