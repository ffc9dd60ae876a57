# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import functools
from typing import Any, Callable, Dict, List

from ansible.errors import AnsibleFilterError
from ansible_collections.certops.vault_extca.plugins.plugin_utils.order_report import as_csv, make_report, to_renew
from ansible_collections.certops.vault_extca.plugins.plugin_utils.report_page import render

_SOURCES = (
    "It takes a list of dictionaries with name, mount and orders, the latter as vault_extca_order_info returns them"
)
_REPORT = "It takes what the filter certops.vault_extca.order_report returns"


def order_report(sources: List[Dict[str, Any]], renew_before: str = "33%", stuck_after: str = "1h") -> Dict[str, Any]:
    """The report on orders and certificates of these sources."""
    return make_report(sources, renew_before=renew_before, stuck_after=stuck_after)


def _telling(name: str, function: Callable[..., Any], takes: str) -> Callable[..., Any]:
    """The filter, whose errors say what was wrong with what it was given."""

    @functools.wraps(function)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ValueError as error:
            raise AnsibleFilterError(f"certops.vault_extca.{name}: {error}.") from None
        except KeyError as error:
            raise AnsibleFilterError(f"certops.vault_extca.{name}: the key {error} is missing. {takes}.") from None
        except (AttributeError, IndexError, TypeError) as error:
            raise AnsibleFilterError(f"certops.vault_extca.{name}: {error}. {takes}.") from None

    return told


class FilterModule:
    """The report, in its forms."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """Filters by their names."""
        return {
            "order_report": _telling("order_report", order_report, _SOURCES),
            "order_report_csv": _telling("order_report_csv", as_csv, _REPORT),
            "order_report_page": _telling("order_report_page", render, f"{_REPORT}, and the text of a template"),
            "order_report_renewals": _telling("order_report_renewals", to_renew, _REPORT),
        }
