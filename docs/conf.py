"""The site: `python -m sphinx -W --keep-going -b html docs site`."""

import pathlib
import sys

PROJECT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "docs")]

import generated_pages  # noqa: E402 - beside this file
import mathml  # noqa: E402 - beside this file

import keras_ce  # noqa: E402

project = "keras_ce"
author = "keras_ce contributors"
copyright = author
version = release = keras_ce.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["**/.*"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
default_role = "py:obj"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # The docstrings say it, and the signatures stay short.
napoleon_custom_sections = [
    "Shapes",
    "Reference",
    ("Call arguments", "params_style"),
]
napoleon_use_rtype = False

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "keras_ce"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False


def name_the_language(app, pagename, templatename, context, doctree):
    """Browsers choose fonts, hyphens and a voice by the language of the page."""
    if pagename.startswith("zh/"):
        context["language"] = "zh-Hans"


def setup(app):
    """Writes what is made from the package, and checks that no public name is left out."""
    app.add_html_math_renderer("mathml", (mathml.write_inline, None), (mathml.write_block, None))
    app.connect("html-page-context", name_the_language)
    app.connect("builder-inited", generated_pages.write)
    # Before napoleon, which takes the sections.
    app.connect("autodoc-process-docstring", generated_pages.keep_formulas, priority=400)
    app.connect("autodoc-process-signature", generated_pages.show_the_constructor)
    app.connect("autodoc-skip-member", generated_pages.leave_out_of_others)
    app.connect("env-check-consistency", generated_pages.check_coverage)
    app.connect("source-read", generated_pages.lead_to_results)
