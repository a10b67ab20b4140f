"""Model recipes: a job from data to answer, one folder each."""

# Registers their layers: saved models load.
from recipes import answer_ranker, next_word, string_reader, text_classifier  # noqa: F401
