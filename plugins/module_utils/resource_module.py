# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""What the modules share that bring about one resource: state, check mode, diff and result."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Optional, TypeVar

from .extca_module import ExtcaModule, Spec
from .resource import Change, Resource, ensure
from .vault_errors import NotFound

Found = TypeVar("Found")

# Documented in plugins/doc_fragments/state.py.
STATE: Spec = dict(state=dict(type="str", choices=["present", "absent"], default="present"))


class ResourceModule(ExtcaModule):
    """A module with the option ``state``."""

    def __init__(self, argument_spec: Spec, **kwargs: Any) -> None:
        super().__init__({**STATE, **argument_spec}, **kwargs)

    @property
    def present(self) -> bool:
        """Whether the resource is to be there."""
        return bool(self.params["state"] == "present")

    def find(self, read: Callable[[], Optional[Found]]) -> Optional[Found]:
        """What there is now. Where there is no mount there is nothing, which suits who wants it gone or only asks what would be."""
        try:
            return read()
        except NotFound:
            if self.present and not self.check_mode:
                raise
            self.warn(
                f"Mount {self.params['mount']} is not there, so nothing that it would hold is. If it should be there, check mount, "
                "namespace and url."
            )
            return None

    def ensure(self, resource: Resource, name: str, *, wanted: Mapping[str, Any], **how: Any) -> Change:
        """``resource.ensure`` in this module's state and mode."""
        return ensure(resource, name, state=self.params["state"], check_mode=self.check_mode, wanted=wanted, **how)

    def report(self, change: Change, key: str) -> None:
        """End with what was done; the resource, where there is one, is the return value ``key``."""
        result = {} if change.value is None else {key: change.value}
        if self._diff:
            result["diff"] = change.diff()
        self.exit_json(changed=change.changed, **result)
