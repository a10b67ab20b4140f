"""Model recipes: a job from data to answer, one folder each.

`import recipes` registers the layers and models of all of them, so that
`keras.saving.load_model` reads their files.
"""

import keras_ce  # noqa: F401 - first: it says what to install where there is no backend
from recipes import answer_ranker, next_word, string_reader, text_classifier

__all__ = ["answer_ranker", "next_word", "string_reader", "text_classifier"]
