# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from typing import Any, Callable, Dict, List

from ansible.errors import AnsibleFilterError
from ansible_collections.certops.vault_extca.plugins.plugin_utils.order_report import as_csv, make_report, to_renew
from ansible_collections.certops.vault_extca.plugins.plugin_utils.report_page import render


def order_report(sources: List[Dict[str, Any]], renew_before: str = "33%", stuck_after: str = "1h") -> Dict[str, Any]:
    """The report on orders and certificates of these sources."""
    try:
        return make_report(sources, renew_before=renew_before, stuck_after=stuck_after)
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"certops.vault_extca.order_report: {error}") from error


class FilterModule:
    """The report, in its forms."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """Filters by their names."""
        return {
            "order_report": order_report,
            "order_report_csv": as_csv,
            "order_report_page": render,
            "order_report_renewals": to_renew,
        }
