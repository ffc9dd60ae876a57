# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Where a certificate goes on a host: files read and written as one set."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, cast

from ansible.module_utils.basic import AnsibleModule

from . import certificate_files as kinds
from .certificate_files import Found, Material
from .certificates import BadCertificate, certificate_facts, summary
from .file_set import Move, NewFile, check_place, discard_leftovers, finish_moves, replace_files
from .polling import Clock, Patience, SystemClock
from .unfinished_work import UnfinishedWork, open_work, record_path, recorded
from .vault_errors import ExtcaError, InvalidInput

# A keystore with a long chain is some 50 kB.
_LARGEST = 4 * 1024 * 1024


class Written(NamedTuple):
    """What writing came to. In check mode, what it would come to."""

    changed: bool
    files: List[str]
    backup_files: Dict[str, str]

    def result(self) -> Dict[str, Any]:
        """As return values."""
        return {"files": self.files, **({"backup_files": self.backup_files} if self.backup_files else {})}


class Destination:
    """The files of the option ``destination``, or ``given`` in its place. Raises InvalidInput for paths that cannot be."""

    def __init__(self, module: AnsibleModule, given: Optional[Mapping[str, Any]] = None) -> None:
        self._module = module
        given = module.params["destination"] if given is None else given
        self._passphrase: Optional[str] = given["pkcs12_passphrase"]
        # Whether a run that was cut short had replaced files, and could not tell anybody that they changed.
        self.were_replaced = False
        # Where a path is a link, the file that it leads to is replaced and the link stays.
        self.paths: Dict[str, str] = {
            kind: os.path.realpath(_absolute(kind, given[kind])) for kind in kinds.KINDS if given[kind]
        }
        if not any(kind in self.paths for kind in kinds.WITH_LEAF):
            raise InvalidInput(
                "destination has no file for the certificate; name at least one of certificate, fullchain, pem_bundle and pkcs12."
            )
        if kinds.PKCS12 in self.paths and not self._passphrase:
            raise InvalidInput("pkcs12_passphrase is empty; Java and Windows do not open such a file.")
        twice = _twice(self.paths)
        if twice:
            raise InvalidInput(f"{twice[0]} and {twice[1]} of destination are the same file, {self.paths[twice[0]]}.")

    @property
    def holds_key(self) -> bool:
        """Whether one of the files holds the private key."""
        return any(kind in self.paths for kind in kinds.WITH_KEY)

    @property
    def returns_key(self) -> bool:
        """Whether the private key is to be part of the result."""
        return bool(self._module.params["return_private_key"]) or not self.holds_key

    @property
    def shows_diff(self) -> bool:
        """Whether a diff is to be part of the result."""
        return bool(self._module._diff)

    @property
    def record(self) -> str:
        """The path of the record of unfinished work."""
        return record_path(next(iter(self.paths.values())))

    # ------------------------------------------------------------------ reading

    def read(self) -> Dict[str, Found]:
        """What each file holds, or why it holds nothing that could be used."""
        return {kind: self._read(kind, path) for kind, path in self.paths.items()}

    def _read(self, kind: str, path: str) -> Found:
        try:
            with open(path, "rb") as file:
                content = file.read(_LARGEST + 1)
            if len(content) > _LARGEST:
                return f"is larger than {_LARGEST >> 20} MiB"
            return kinds.parse(kind, content, self._passphrase)
        except FileNotFoundError:
            return "does not exist"
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        except BadCertificate as error:
            return str(error)

    def predict(self, material: Material, name: str) -> Dict[str, Found]:
        """What each file will hold once this material is written."""
        return {kind: kinds.parse(kind, self._render(kind, material, name), self._passphrase) for kind in self.paths}

    def _render(self, kind: str, material: Material, name: str) -> bytes:
        return kinds.render(kind, material, passphrase=self._passphrase, name=name)

    # ------------------------------------------------------------------ writing

    def check_places(self) -> None:
        """Raise InvalidInput where a file could not be written, before anything is ordered for it."""
        for path in self.paths.values():
            check_place(path)
        for option in ("owner", "group"):
            name = self._module.params.get(option)
            if name and not str(name).isdigit() and not _is_known(option, str(name)):
                raise InvalidInput(f"{option} {name!r} does not exist on this host.")
        attributes = self._module.params.get("attributes")
        if attributes and not re.fullmatch(r"[=+-]?[A-Za-z]*", attributes):
            raise InvalidInput(
                f"attributes {attributes[:80]!r} are none that chattr knows; write letters, such as '+i'."
            )

    def begin(self, patience: Optional[Patience], clock: Clock = SystemClock()) -> Optional[UnfinishedWork]:
        """Lock the files, and finish what a run that was cut short has begun with them.

        None where another task is at work on them and there is no patience to wait for it.
        """
        work = open_work(self.record, patience, clock)
        if work is None:
            return None
        moves = work.values.get("moves")
        try:
            if moves is not None:
                finish_moves([Move(*row) for row in moves])
                work.note(moves=[])
                self.were_replaced = True
            discard_leftovers(list(self.paths.values()))
        except OSError as error:
            work.close()
            raise ExtcaError(
                f"What a run that was cut short has left at {error.filename} cannot be tidied up: {error.strerror}. Look what is "
                "there, remove it if it is none of yours, and run the task again."
            ) from None
        return work

    def is_unfinished(self) -> bool:
        """Whether a run that was cut short, or is under way, has left its record."""
        return os.path.lexists(self.record)

    def has_untold_changes(self) -> bool:
        """Whether a run that was cut short, or is under way, has begun to replace files and told nobody yet."""
        return recorded(self.record).get("moves") is not None

    def write(self, material: Material, name: str, work: UnfinishedWork) -> Written:
        """Write those files that do not hold this material, as one set, and give all of them their attributes.

        ``name`` is the friendly name of a PKCS#12 entry.
        """
        changing = self.changing(material)
        backup_files: Dict[str, str] = {}
        if changing:
            for path in (self.paths[kind] for kind in changing):
                check_place(path)
                if self._module.params["backup"] and os.path.exists(path):
                    backup_files[path] = self._back_up(path)
            replace_files(
                [NewFile(self.paths[kind], self._render(kind, material, name)) for kind in changing],
                self._dress,
                lambda moves: work.note(moves=None if moves is None else [list(move) for move in moves]),
            )
        changed = self.settle() or bool(changing) or self.were_replaced
        return Written(changed, [self.paths[kind] for kind in changing], backup_files)

    def _back_up(self, path: str) -> str:
        # Ansible copies a file first, and gives the copy the old one's mode afterwards.
        umask = os.umask(0o077)
        try:
            copy: str = self._module.backup_local(path)
        finally:
            os.umask(umask)
        return copy

    def changing(self, material: Material) -> List[str]:
        """The kinds of file that do not hold this material."""
        if self.holds_key and material.private_key is None:
            raise InvalidInput(
                "destination names a file for the private key, but Vault has no key for this order: it was made for a "
                "certificate signing request. Leave private_key, pem_bundle and pkcs12 out."
            )
        found = self.read()
        return [kind for kind, part in found.items() if isinstance(part, str) or not kinds.holds(part, material)]

    def install(self, material: Material, name: str, patience: Patience, clock: Clock = SystemClock()) -> Written:
        """Have the files hold this material, wherever it is from. In check mode, tell what would change."""
        if self._module.check_mode:
            changing = self.changing(material)
            return Written(bool(changing) or self.settle(), [self.paths[kind] for kind in changing], {})
        self.check_places()
        work = cast(UnfinishedWork, self.begin(patience, clock))
        told = False
        try:
            written = self.write(material, name, work)
            told = True
            return written
        finally:
            # Of files that were replaced before something failed, the next run tells that they changed.
            if work.is_empty and (told or work.values.get("moves") is None):
                work.forget()
            work.close()

    def deliver(self, result: Dict[str, Any], patience: Patience) -> Dict[str, Any]:
        """A module's result that holds a certificate, which has been installed.

        A key that stands in a file is no longer part of it unless return_private_key says so.
        """
        material = kinds.assemble(result, result.get("private_key"))
        before = _first_leaf(self.read())
        written = self.install(material, result["identifiers"][0], patience)
        after = summary(certificate_facts(material.leaf)) if written.files else before
        return {
            **{key: value for key, value in result.items() if key != "private_key" or self.returns_key},
            "changed": written.changed,
            **written.result(),
            **({"diff": {"before": before, "after": after}} if self.shows_diff else {}),
        }

    def settle(self) -> bool:
        """Give the files that exist the owner, group, mode … of the options. Returns whether anything differed."""
        changed = False
        for path in self.paths.values():
            if os.path.exists(path):
                changed = self._module.set_fs_attributes_if_different(self._attributes(path), changed)
        return bool(changed)

    def _attributes(self, path: str) -> Dict[str, Any]:
        params = dict(self._module.params)
        if self._is_secret(path):
            params["mode"] = params["private_key_mode"]
        attributes: Dict[str, Any] = self._module.load_file_common_arguments(params, path=path)
        return attributes

    def _is_secret(self, path: str) -> bool:
        return any(self.paths.get(kind) == path for kind in kinds.WITH_KEY)

    def _dress(self, staged: str, path: str) -> None:
        """A new file is what the old one was, then what the options say, before it is seen under its name."""
        try:
            old = os.stat(path)
        except FileNotFoundError:
            if not self._is_secret(path):
                os.chmod(staged, 0o666 & ~_umask())
            context = self._module.selinux_default_context(path)
        else:
            if not self._is_secret(path):
                os.chmod(staged, old.st_mode & 0o7777)
            if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                # Only root gives files away; what the options say is applied below, and does fail.
                with contextlib.suppress(PermissionError):
                    os.chown(staged, old.st_uid, old.st_gid, follow_symlinks=False)
            context = self._module.selinux_context(path) if self._module.selinux_enabled() else []
        if self._module.selinux_enabled():
            self._module.set_context_if_different(staged, context, False)
        # Attributes such as immutable would forbid the rename; they are set when the file is in its place.
        wanted = dict(self._attributes(path), path=staged, attributes=None)
        self._module.set_fs_attributes_if_different(wanted, False)


def _first_leaf(found: Dict[str, Found]) -> Dict[str, Any]:
    for part in found.values():
        if not isinstance(part, str) and part.leaf is not None:
            with contextlib.suppress(BadCertificate):
                return summary(certificate_facts(part.leaf))
    return {}


def _absolute(kind: str, path: str) -> str:
    if not os.path.isabs(path) or os.path.basename(path) in ("", ".", ".."):
        raise InvalidInput(f"{kind} of destination is {path!r}, which is not the absolute path of a file.")
    return path


def _twice(paths: Dict[str, str]) -> Optional[Tuple[str, str]]:
    seen: Dict[str, str] = {}
    for kind, path in paths.items():
        if path in seen:
            return seen[path], kind
        seen[path] = kind
    return None


def _is_known(option: str, name: str) -> bool:
    import grp
    import pwd

    try:
        (pwd.getpwnam if option == "owner" else grp.getgrnam)(name)
    except (KeyError, ValueError):  # a NUL in the name is a ValueError
        return False
    return True


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
