"""How Sphinx builds these pages: ``make docs``. It fetches nothing."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from airflow_provider_kore import __version__

# The reference imports Airflow, which writes its configuration and its logs somewhere.
os.environ["AIRFLOW_HOME"] = str(Path(__file__).parent / "_build" / "airflow")
logging.getLogger("airflow").setLevel(logging.WARNING)

project = "airflow-provider-kore"
author = "The airflow-provider-kore authors"
project_copyright = author
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"airflow-provider-kore {__version__}"
html_show_sourcelink = False
html_show_copyright = False
