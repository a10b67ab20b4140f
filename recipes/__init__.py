"""Model recipes: one `build_*` function per file."""

# Registers their layers: saved models load.
from recipes import answer_ranker, next_word, string_reader, text_classifier  # noqa: F401
