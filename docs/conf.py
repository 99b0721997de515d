"""The documentation as a site: `make docs`."""

import os
import re
import tempfile

from hyperoru_provider.version import __version__

# what Airflow writes when it is imported
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="docs-airflow-"))

project = "airflow-provider-hyperoru"
author = "The airflow-provider-hyperoru authors"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx's name
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["deployment/*"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"

html_theme = "furo"
html_title = f"airflow-provider-hyperoru {version}"
html_theme_options = {
    "source_repository": "https://github.com/hyperoru/airflow-provider-hyperoru/",
    "source_branch": "main",
    "source_directory": "docs/",
}


def link_pages(*event):
    """Make links of the pages that docstrings name, which are names of files where they are read as text."""
    lines = event[-1]
    lines[:] = [re.sub(r"``docs/([a-z-]+)\.md``", r":doc:`/\1`", line) for line in lines]


def setup(app):
    """Register what is done with docstrings."""
    app.connect("autodoc-process-docstring", link_pages)
