"""The site: python3 -m sphinx -W --keep-going -b html docs OUT"""

import re

import gradclip

project = "gradclip"
release = version = gradclip.__version__
html_title = f"gradclip {version}"
html_theme = "furo"
html_show_copyright = False

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 2

default_role = "py:obj"  # `names` in docstrings: links where they are known, else code
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say more
napoleon_google_docstring = False
napoleon_use_param = False  # types as they are written
napoleon_use_rtype = False


def _outside(app, name: str, source: list[str]) -> None:
    """Offer Markdown outside of this folder for download, as other files are."""
    source[0] = re.sub(r"\]\((\.\./[^)#]*\.md)(#[^)]*)?\)", r"](path:\1)", source[0])


def setup(app) -> None:
    app.connect("source-read", _outside)
