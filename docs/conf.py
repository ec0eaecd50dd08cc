"""How the documentation is built: ``make docs``."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "extensions"), str(Path(__file__).parent.parent)]

from irecgan_gym import __version__  # noqa: E402 (after the path)

project = "irecgan-gym"
author = "irecgan-gym contributors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "docstring_tables",
    "environment_pages",
    "mathml",
    "metrics_table",
    "public_logs",
    "public_names",
    "repository_pages",
    "settings_table",
]
exclude_patterns = ["_build", "extensions", "templates"]
templates_path = ["templates"]

html_math_renderer = "mathml"

html_theme = "furo"
html_title = f"irecgan-gym {version}"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_member_order = "bysource"
# Types stand beside the descriptions of arguments, where there is room for them.
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# As fields of the class, not as entries of their own beside those of autodoc.
napoleon_use_ivar = True
