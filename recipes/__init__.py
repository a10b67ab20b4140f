"""Model recipes: one `build_*` function per file."""

from recipes import text_classifier  # noqa: F401  # registers its layers: saved models load
