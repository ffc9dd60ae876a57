# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""As much of AWX's API as awx.awx needs to create things: lists that can be asked by field, items, and what belongs to them."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Item = dict[str, Any]
# Lists that show items of several others.
_UNIONS = {"unified_job_templates": ("job_templates", "projects")}


@dataclass
class Controller:
    """What has been created, by list, and by address what belongs to an item; ``url`` is where AWX is."""

    token: str = "a-token-of-awx"
    url: str = ""
    items: dict[str, list[Item]] = field(default_factory=dict)
    belongings: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, given: Item) -> Item:
        """Create an item as AWX does."""
        number = 1 + sum(len(rows) for rows in self.items.values())
        address = f"/api/v2/{kind}/{number}/"
        item = {
            **given,
            "id": number,
            "type": kind.rstrip("s"),
            "url": address,
            "related": {"survey_spec": f"{address}survey_spec/"},
            "summary_fields": {},
            "scm_revision": "",
        }
        self.items.setdefault(kind, []).append(item)
        return item

    def get(self, path: str, query: dict[str, str]) -> Item:
        """A list, an item, or what belongs to one."""
        parts = path.strip("/").split("/")[2:]
        if len(parts) == 1:
            rows = [row for kind in _UNIONS.get(parts[0], parts) for row in self.items.get(kind, [])]
            asked = {name.removeprefix("or__"): value for name, value in query.items() if not name.startswith("page")}
            found = [row for row in rows if all(str(row.get(name)) == value for name, value in asked.items())]
            return {"count": len(found), "results": found, "next": None}
        if len(parts) == 2:
            return next(row for row in self.items[parts[0]] if row["url"] == path)
        kept: Item = self.belongings.get(path, {"count": 0, "results": [], "next": None})
        return kept

    def post(self, path: str, given: Item) -> tuple[int, Item]:
        """Create an item, give an item its survey, or associate one with another."""
        parts = path.strip("/").split("/")[2:]
        if len(parts) == 1:
            return 201, self.add(parts[0], given)
        if parts[2] == "survey_spec":
            self.belongings[path] = given
            return 200, {}
        (wanted,) = (row for row in self.items[parts[2]] if row["id"] == given["id"])
        rows = [*self.get(path, {})["results"], wanted]
        self.belongings[path] = {"count": len(rows), "results": rows, "next": None}
        return 204, {}


@contextlib.contextmanager
def running() -> Iterator[Controller]:
    """A controller that listens, with the organization that every new AWX has."""
    controller = Controller()
    controller.add("organizations", {"name": "Default"})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            self._answer(200, controller.get(address.path, dict(parse_qsl(address.query))))

        def do_POST(self) -> None:
            self._answer(*controller.post(urlsplit(self.path).path, self._given()))

        def do_PATCH(self) -> None:
            item = controller.get(urlsplit(self.path).path, {})
            item.update(self._given())
            self._answer(200, item)

        def _given(self) -> Item:
            given: Item = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            return given

        def _answer(self, status: int, body: Item) -> None:
            permitted = self.headers.get("Authorization") == f"Bearer {controller.token}"
            text = json.dumps(body if permitted else {"detail": "no"}).encode()
            self.send_response(status if permitted else 401)
            self.send_header("X-API-Product-Name", "AWX")
            self.send_header("X-API-Product-Version", "24.6.1")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        controller.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield controller
        finally:
            server.shutdown()
            thread.join()
