# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# ruff: noqa: RUF002 (the marks around names are meant)
"""``python -m tests.tools.messages``: write ``docs/messages.md``, every error message and what to do about it.

The messages are found in the code: every text that is given to an exception, to fail_json or to warn. A message says itself
what is wrong and mostly what to do; where it only says the former, the kind of error says the latter.
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .tree import REPOSITORY

PAGE = REPOSITORY / "docs" / "messages.md"
_PLUGINS = REPOSITORY / "plugins"
_MOST = 24  # wordings shown of one text
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|;\s+(?=\w)|:\s+(?=(?:publish|use|write|give)\b)")
# How the part of a message begins that tells what to do.
_ADVICE = re.compile(
    r"^(add|ask|begin|check|choose|create|delete|disable|do|either|give|grant|have|if|install|leave|look|make|mend|move|name|"
    r"order|pass|permit|publish|put|quote|remove|renew|rerun|restart|run|say|see|set|take|treat|try|unseal|upgrade|use|wait|write|"
    r"the next run|vault_extca_\w+ tells)\b",
    re.IGNORECASE,
)
# What to do where a message leaves it at what is wrong.
REMEDIES: Mapping[str, str] = {
    "InvalidInput": "Correct the option that the message names.",
    "ValueError": "Correct the value that the message shows; the option is named before it.",
    "BadCertificate": "Renew the certificate, or order anew; check what wrote or altered it.",
    "ChallengeNotAnswered": "Look at what serves the name on this host; the order is kept for the next run.",
    "NoCertificateYet": "Wait for the order with vault_extca_order_certificate.",
    "LoginFailed": "Check the options of authentication, mount_point and namespace.",
    "OrderFailed": "Mend what the message names, and run the task again; it makes a new order where one is needed.",
    "NotFound": "Check the names, mount and namespace.",
    "PermissionDenied": "Give the token a policy with the capability that the message names.",
    "Busy": "Let the other task end, and run this one again.",
    "Ended": "Run the task again.",
    "UnexpectedAnswer": "Check that url is Vault's address, and that nothing between answers for it.",
    "ExtcaError": "Mend what the message names, and run the task again.",
    "MissingLibrary": "Install the library for the interpreter that runs the task.",
    "AnsibleError": "Correct what the message names.",
    "warning": "Nothing has failed. Give the right, or mend what it names, to be rid of the warning.",
}

# The same for what is wrong with one of a certificate's companions.
_ABOUT: Mapping[str, str] = {
    "signing request": "Give one certificate signing request in PEM, made with the key that is in use.",
    "private key cannot be read": "Give an RSA or EC private key in PEM, without a passphrase.",
}


@dataclass(frozen=True)
class Message:
    """One wording: where it comes from, what kind of error it is, what it says and what to do."""

    source: str
    kind: str
    text: str

    def parts(self) -> tuple[str, str]:
        """Cause and remedy."""
        pieces = _SENTENCE.split(self.text)
        first = next((number for number, piece in enumerate(pieces) if number and _ADVICE.match(piece)), None)
        if first is None:
            about = next((words for words in _ABOUT if self.kind == "BadCertificate" and words in self.text), None)
            return self.text, _ABOUT[about] if about else REMEDIES[self.kind]
        cause, remedy = " ".join(pieces[:first]), " ".join(pieces[first:])
        return cause, remedy[0].upper() + remedy[1:] + ("" if remedy.endswith((".", "?")) else ".")


class _Module:
    """A source file: its functions, constants and exceptions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text())
        self.functions = {node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)}
        self.constants = {
            target.id: node.value
            for node in self.tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }

    def calls(self) -> Iterator[tuple[ast.Call, ast.FunctionDef | None]]:
        """Every call with the innermost function around it."""

        def walk(node: ast.AST, around: ast.FunctionDef | None) -> Iterator[tuple[ast.Call, ast.FunctionDef | None]]:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.Call):
                    yield child, around
                yield from walk(child, child if isinstance(child, ast.FunctionDef) else around)

        return walk(self.tree, None)


class _Reader:
    """Reads the wordings of an expression; what is known only at run time becomes ‹name›."""

    def __init__(self, module: _Module, function: ast.FunctionDef | None, depth: int = 0) -> None:
        self.module, self.function, self.depth = module, function, depth

    def read(self, node: ast.expr) -> list[str]:
        """The wordings, at most ``_MOST``."""
        return list(dict.fromkeys(self._read(node)))[:_MOST]

    def _read(self, node: ast.expr) -> list[str]:
        if isinstance(node, ast.Constant):
            return [str(node.value)]
        if isinstance(node, ast.JoinedStr):
            return self._product([self._part(one) for one in node.values])
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._product([self.read(node.left), self.read(node.right)])
        if isinstance(node, ast.IfExp):
            return [*self.read(node.body), *self.read(node.orelse)]
        if isinstance(node, ast.BoolOp):
            return [text for one in node.values for text in self.read(one)]
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.Call):
            return self._call(node)
        return [_placeholder(node)]

    @staticmethod
    def _product(parts: list[list[str]]) -> list[str]:
        return ["".join(one) for one in itertools.islice(itertools.product(*parts), _MOST)]

    def _part(self, node: ast.expr) -> list[str]:
        if not isinstance(node, ast.FormattedValue):
            return self._read(node)
        texts = self.read(node.value) if isinstance(node.value, (ast.Name, ast.IfExp, ast.BoolOp)) else []
        return texts if texts and all(" " in text or not text for text in texts) else [_placeholder(node.value)]

    def _name(self, name: str) -> list[str]:
        if name in self.module.constants:
            return self.read(self.module.constants[name])
        if self.function is None or self.depth > 4:
            return [f"‹{name}›"]
        deeper = _Reader(self.module, self.function, self.depth + 1)
        found: list[str] = []
        for node in ast.walk(self.function):
            targets = node.targets if isinstance(node, ast.Assign) else []
            if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in targets):
                found.extend(deeper.read(node.value))
        return [text for text in found if " " in text] or [f"‹{name}›"]

    def _call(self, node: ast.Call) -> list[str]:
        function = self.module.functions.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if (
            isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "self"
        ):
            function = self.module.functions.get(node.func.attr)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "join" and node.args:
            return self._pieces(node.args[0])
        if function is None or self.depth > 4:
            return [_placeholder(node)]
        deeper = _Reader(self.module, function, self.depth + 1)
        returned = [one.value for one in ast.walk(function) if isinstance(one, ast.Return) and one.value is not None]
        texts = [text for value in returned for text in deeper.strings(value)]
        return [text for text in texts if " " in text] or [_placeholder(node)]

    def _pieces(self, node: ast.expr) -> list[str]:
        """Texts that are put together from a list, each by itself."""
        if not isinstance(node, ast.Name) or self.function is None:
            return [_placeholder(node)]
        name, found = node.id, list[str]()
        for one in ast.walk(self.function):
            if isinstance(one, (ast.Assign, ast.AnnAssign)) and isinstance(one.value, ast.List):
                targets = one.targets if isinstance(one, ast.Assign) else [one.target]
                if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                    found.extend(self.strings(one.value))
            method = one.func if isinstance(one, ast.Call) else None
            adds = isinstance(method, ast.Attribute) and method.attr in ("append", "extend")
            if adds and isinstance(one, ast.Call) and getattr(getattr(method, "value", None), "id", "") == name:
                found.extend(text for argument in one.args for text in self.strings(argument))
        return found or [_placeholder(node)]

    def strings(self, node: ast.expr) -> list[str]:
        """The wordings of a text or of a list of texts."""
        if isinstance(node, (ast.List, ast.Tuple)):
            return [text for one in node.elts for text in self.read(one)]
        return self._read(node) if self.depth < 4 else [_placeholder(node)]


def _placeholder(node: ast.expr) -> str:
    """A name for a value: the last one of ``order.reference.order_id``, the text of ``order["id"]``."""
    while True:
        if isinstance(node, ast.Subscript):
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                return f"‹{node.slice.value}›"
            node = node.value
        elif isinstance(node, ast.Call) and node.args and not isinstance(node.args[0], ast.Constant):
            node = node.args[0]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
            node = node.func.value if node.func.attr not in ("shown_address", "address") else ast.Name("address")
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            return f"‹{node.args[0].value!s}›"
        elif isinstance(node, ast.BoolOp):
            node = node.values[0]
        elif isinstance(node, ast.Attribute):
            return f"‹{node.attr.strip('_')}›"
        elif isinstance(node, ast.Name):
            return f"‹{node.id.strip('_')}›"
        elif isinstance(node, (ast.GeneratorExp, ast.ListComp)):
            node = node.elt
        elif isinstance(node, ast.BinOp):
            node = node.left
        elif isinstance(node, ast.IfExp):
            node = node.body
        else:
            return "‹…›"


def sources() -> list[Path]:
    """The files whose messages reach a user."""
    return sorted(path for path in _PLUGINS.rglob("*.py") if "doc_fragments" not in path.parts)


def _kinds(modules: list[_Module]) -> set[str]:
    """The collection's exceptions, and those of Python and Ansible that it raises with a text of its own."""
    kinds = {"ExtcaError", "ValueError", "AnsibleError"}
    for _round in range(4):
        for module in modules:
            for node in ast.walk(module.tree):
                if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") in kinds for base in node.bases):
                    kinds.add(node.name)
    return kinds


def _kind(call: ast.Call, kinds: set[str]) -> str | None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name == "MissingLibrary":  # is given a library's name, and makes its text itself
        return None
    if name == "__init__" and call.args and isinstance(call.args[0], ast.JoinedStr):
        return "MissingLibrary"
    if name in kinds:
        return str(name)
    if name in ("warn", "_warn", "warning"):
        return "warning"
    return None


def _remedy_kind(kind: str) -> str:
    return kind if kind in REMEDIES else "ExtcaError"


def messages() -> list[Message]:
    """Every wording in the code, in the order of the files, each once."""
    modules = [_Module(path) for path in sources()]
    kinds = _kinds(modules)
    found: dict[tuple[str, str], Message] = {}
    for module in modules:
        source = module.path.relative_to(_PLUGINS).with_suffix("").as_posix()
        for call, function in module.calls():
            kind = _kind(call, kinds)
            if kind is None or not call.args:
                continue
            for text in _Reader(module, function).read(call.args[0]):
                plain = " ".join(text.split())
                # Nothing but a value, such as f"{error}.": another message, which stands here by itself.
                if len(re.sub(r"‹[^›]*›", "", plain).strip(" .:;,'")) > 3:
                    found.setdefault((source, plain), Message(source, _remedy_kind(kind), plain))
    return list(found.values())


def _heading(source: str) -> str:
    text = ast.get_docstring(ast.parse((_PLUGINS / f"{source}.py").read_text())) or ""
    first = text.split("\n\n")[0].replace("\n", " ").replace("``", "").strip()
    if not first or "/modules/" in f"/{source}/" or first.startswith("`"):
        return source.rsplit("/", 1)[1]
    return re.split(r"(?<=[a-z])[.;:]\s", first.rstrip("."), maxsplit=1)[0]


def _cell(text: str) -> str:
    escaped = (
        text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("`", "\\`")
    )
    return re.sub(r"(?<!\w)_|_(?!\w)|(?<=\w)_(?=\w)", lambda match: "\\_", escaped)


def page() -> str:
    """The page, in Markdown."""
    lines = [
        "# Error messages",
        "",
        "Every message of the collection, its cause and its remedy, written by `python -m tests.tools.messages` from the code.",
        "‹Names› stand for what is known only when it happens. Search for words of your message that are no names or values.",
    ]
    for source, group in itertools.groupby(messages(), key=lambda one: one.source):
        lines += ["", f"## {_cell(_heading(source))}", "", "| Message and cause | Remedy |", "| --- | --- |"]
        lines += [f"| {_cell(cause)} | {_cell(remedy)} |" for cause, remedy in (one.parts() for one in group)]
    return "\n".join(lines) + "\n"


def main() -> int:
    """0; the page is written."""
    PAGE.write_text(page())
    print(f"{PAGE.relative_to(REPOSITORY)}: {len(messages())} messages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
