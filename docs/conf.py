# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Sphinx's configuration. ``make docs`` copies the pages to build/docs/source, beside the modules' reference."""

project = "certops.vault_extca"
author = "certops.vault_extca contributors"
project_copyright = author
html_title = project
extensions = ["myst_parser", "sphinx_antsibull_ext"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["reference/environment_variables.rst"]
myst_heading_anchors = 3
# Fences of these languages have placeholders that a highlighter stumbles over.
suppress_warnings = ["misc.highlighting_failure"]
highlight_language = "yaml"
pygments_style = "default"
pygments_dark_style = "native"
html_theme = "furo"
html_static_path = ["site"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": False}

_ANSIBLE = "https://docs.ansible.com/ansible/latest/"
_LABELS = {
    "common_return_values": "reference_appendices/common_return_values.html",
    "action_plugins": "plugins/action.html",
}


def _elsewhere(app, env, node, contents):
    """Ansible's own labels, and modules of other collections: known addresses, so that no inventory need be fetched."""
    from docutils import nodes

    target = node["reftarget"]
    module = target.split(".") if target.startswith("ansible_collections.") else []
    if node.get("reftype") == "envvar":
        return contents
    if target in _LABELS:
        page = _LABELS[target]
    elif len(module) == 4 and module[3].endswith(("_module", "_lookup")):
        page = f"collections/{module[1]}/{module[2]}/{module[3]}.html"
    else:
        return None
    return nodes.reference("", contents.astext(), internal=False, refuri=_ANSIBLE + page)


def setup(app):
    """Called by Sphinx."""
    app.connect("missing-reference", _elsewhere)
