"""`build_answer_ranker`: the study notes' formula, padding, shared weights, saving, arguments."""

import keras
import numpy as np
import pytest
from backends import QUICK

import keras_ce
from recipes.answer_ranker import LengthPivot, RankerModels, UnitLength, build_answer_ranker
from recipes.answer_ranker.model import average_rankers

VOCABULARY = ["", "[unknown]", *(f"word{number}" for number in range(18))]
SMALL = {"embedding_dim": 8, "units": 5}
VARIANTS = {
    "last": {},
    "mean": {"pooling": "mean", "dropout": 0.5},
    "words alone": {
        "units": 0,
        "word_sum": True,
        "word_weights": list(np.linspace(0.1, 1, 30)),
        "length_pivot": 2.0,
        "word_dropout": 0.2,
        "vocabulary": VOCABULARY,
        "token_kind": "stems",
    },
    "everything": {
        "bidirectional": True,
        "pooling": "max",
        "word_sum": True,
        "length_pivot": 1.5,
        "word_dropout": 0.2,
        "embedding_dropout": 0.3,
        "dropout": 0.5,
    },
}


@pytest.fixture(params=VARIANTS, scope="module")
def ranker(request):
    keras.utils.set_random_seed(3)
    return build_answer_ranker(30, **{**SMALL, **VARIANTS[request.param]})


def call(model, *ids):
    arrays = [np.asarray(each, dtype="int32") for each in ids]
    inputs = arrays if len(arrays) > 1 else arrays[0]
    # On JAX each call would compile its LSTM anew.
    predict = model.predict_on_batch if keras.backend.backend() == "jax" else model
    return keras.ops.convert_to_numpy(predict(inputs))


def random_ids(rows, columns, seed=5):
    return np.random.default_rng(seed).integers(1, 30, size=(rows, columns))


def cosine(a, b):
    a, b = a.astype("float64"), b.astype("float64")
    return (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))


def test_scores_are_cosines_and_the_loss_is_the_formula_of_the_study_notes(ranker):
    question, right, wrong = (random_ids(6, size, size) for size in (4, 7, 5))
    of_question = call(ranker.question_encoder, question)
    of_answers = [call(ranker.answer_encoder, ids) for ids in (right, wrong)]
    for vectors in (of_question, *of_answers):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    cosines = np.stack([cosine(of_question, vectors) for vectors in of_answers], axis=1)
    assert np.abs(cosines[:, 0] - cosines[:, 1]).max() > 1e-3
    scores = call(ranker.trainer, question, right, wrong)
    np.testing.assert_allclose(scores, cosines, atol=1e-6)

    expected = np.maximum(0, 0.1 + cosines[:, 1] - cosines[:, 0])
    assert (expected > 0).any()
    losses = keras_ce.losses.MarginRanking(0.1, reduction="none")(np.zeros(6, "int32"), scores)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(losses), expected, atol=2e-6)


def test_padding_changes_nothing(ranker):
    ids = [random_ids(4, 6, seed) for seed in (1, 2, 3)]
    expected = call(ranker.trainer, *ids)
    padded = [
        np.pad(each, ((0, 0), (0, extra))) for each, extra in zip(ids, (7, 0, 3), strict=True)
    ]
    np.testing.assert_allclose(call(ranker.trainer, *padded), expected, atol=1e-6)
    # A short text in a batch of long ones has the vector that it has alone.
    batch = ids[0].copy()
    batch[2, 2:] = 0
    alone = call(ranker.answer_encoder, ids[0][2:3, :2])
    np.testing.assert_allclose(call(ranker.answer_encoder, batch)[2:3], alone, atol=1e-6)


@pytest.mark.parametrize("name", ["last", "everything"])
def test_rows_of_padding_alone_are_finite_and_keep_training_finite(name):
    ranker = build_answer_ranker(30, **{**SMALL, **VARIANTS[name]})
    ids = [random_ids(6, 5, seed) for seed in (1, 2, 3)]
    for each in ids:
        each[0] = 0
    scores = call(ranker.trainer, *ids)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(
        call(ranker.trainer, *[np.zeros((1, 9))] * 3)[0], scores[0], atol=1e-6
    )
    before = ranker.trainer.get_weights()
    ranker.trainer.compile(keras.optimizers.Adam(0.01), keras_ce.losses.MarginRanking(2.5), **QUICK)
    ranker.trainer.fit(ids, np.zeros(6, "int32"), verbose=0)
    after = ranker.trainer.get_weights()
    assert all(np.isfinite(weights).all() for weights in after)
    assert all(np.any(a != b) for a, b in zip(before, after, strict=True))


def test_trained_together_the_encoders_stay_the_trainers():
    ranker = build_answer_ranker(30, **{**SMALL, **VARIANTS["words alone"]})
    ids = [random_ids(6, 5, seed) for seed in (1, 2, 3)]
    before = call(ranker.answer_encoder, ids[1])
    ranker.trainer.compile(keras.optimizers.Adam(0.1), keras_ce.losses.MarginRanking(2.5), **QUICK)
    ranker.trainer.fit(ids, np.zeros(6, "int32"), verbose=0)
    after = call(ranker.answer_encoder, ids[1])
    assert np.abs(after - before).max() > 1e-2
    expected = (call(ranker.question_encoder, ids[0]) * after).sum(axis=1)
    np.testing.assert_allclose(call(ranker.trainer, *ids)[:, 0], expected, atol=1e-6)


def test_the_question_passes_a_transform_that_answers_do_not():
    keras.utils.set_random_seed(1)
    ranker = build_answer_ranker(30, **SMALL)
    ids = random_ids(3, 4)
    # The transform begins as the identity ...
    same = call(ranker.answer_encoder, ids)
    np.testing.assert_allclose(call(ranker.question_encoder, ids), same, atol=1e-6)
    # ... and is the question's alone; the embedding is everybody's.
    dense = ranker.question_encoder.get_layer("question_transform")
    dense.set_weights([weights + 0.5 for weights in dense.get_weights()])
    assert np.abs(call(ranker.question_encoder, ids) - same).max() > 1e-2
    np.testing.assert_array_equal(call(ranker.answer_encoder, ids), same)
    embedding = ranker.trainer.get_layer("embedding")
    for encoder in (ranker.question_encoder, ranker.answer_encoder):
        assert encoder.get_layer("embedding") is embedding


def test_word_weights_weigh_words_and_a_pivot_favours_long_answers():
    weights = np.ones(30)
    weights[7] = 0
    ranker = build_answer_ranker(
        30, embedding_dim=64, units=0, word_sum=True, word_weights=weights, length_pivot=50.0
    )
    short, with_idle = [[3, 4, 0, 0]], [[3, 4, 7, 7]]
    np.testing.assert_allclose(
        call(ranker.answer_encoder, short), call(ranker.answer_encoder, with_idle), atol=1e-7
    )
    vector = call(ranker.answer_encoder, short)[0]
    embeddings = keras.ops.convert_to_numpy(ranker.trainer.get_layer("embedding").embeddings)
    expected = np.append(embeddings[3] + embeddings[4], 50.0)
    np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-6)
    # Twice the words in common, with four others: the plain cosine prefers the short answer.
    question, long = [[3, 4]], [[3, 4, 10, 11, 12, 13]]
    plain = build_answer_ranker(30, embedding_dim=64, units=0, word_sum=True)
    for model in (ranker, plain):
        model.trainer.get_layer("embedding").set_weights([np.eye(30, 64, dtype="float32")])
    only_one = [[3]]
    scores = call(plain.trainer, question, long, only_one)[0]
    assert scores[0] < scores[1]
    scores = call(ranker.trainer, question, long, only_one)[0]
    assert scores[0] > scores[1]


def test_in_batch_training_compares_every_question_with_every_answer():
    keras.utils.set_random_seed(1)
    ranker = build_answer_ranker(30, **SMALL, in_batch=True)
    question, right = random_ids(5, 4, 1), random_ids(5, 6, 2)
    scores = call(ranker.trainer, question, right)
    expected = call(ranker.question_encoder, question) @ call(ranker.answer_encoder, right).T
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert scores.shape == (5, 5)
    ranker.trainer.compile("adam", keras_ce.losses.InBatchCrossentropy(0.1), **QUICK)
    history = ranker.trainer.fit([question, right], np.arange(5), epochs=4, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_defaults_are_those_of_the_study_notes():
    ranker = build_answer_ranker()
    assert isinstance(ranker, RankerModels)
    assert [tuple(shape) for shape in ranker.trainer.input_shape] == [(None, None)] * 3
    assert ranker.trainer.output_shape == (None, 2)
    assert ranker.answer_encoder.output_shape == (None, 64)
    assert ranker.trainer.get_layer("embedding").get_config()["input_dim"] == 10_000
    assert ranker.trainer.get_layer("embedding").get_config()["output_dim"] == 128
    assert ranker.trainer.get_layer("lstm").units == 64
    assert not [layer for layer in ranker.trainer.layers if isinstance(layer, keras.layers.Lambda)]


def test_a_copy_keeps_what_the_ids_stand_for():
    for model in build_answer_ranker(30, **{**SMALL, **VARIANTS["words alone"]}):
        copy = keras.models.clone_model(model)
        assert (copy.vocabulary, copy.token_kind) == (tuple(VOCABULARY), "stems")
        assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert build_answer_ranker(30, **SMALL).trainer.vocabulary == ()


def test_half_precision_gives_float32_cosines():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        ranker = build_answer_ranker(30, **SMALL, **VARIANTS["everything"])
    finally:
        keras.config.set_dtype_policy("float32")
    ids = random_ids(2, 4)
    scores = call(ranker.trainer, ids, ids, np.zeros((2, 3)))
    assert np.isfinite(scores).all()
    vectors = [call(encoder, ids) for encoder in ranker[1:]]
    assert {array.dtype for array in (scores, *vectors)} == {np.dtype("float32")}


def test_layers_against_their_formulas():
    vectors = np.array([[3.0, 4.0], [0.0, 0.0], [1e-3, 0.0]], dtype="float32")
    found = keras.ops.convert_to_numpy(UnitLength()(vectors))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0], [1, 0]], atol=1e-6)
    found = keras.ops.convert_to_numpy(LengthPivot(2.5)(vectors[:1]))
    np.testing.assert_array_equal(found, [[3.0, 4.0, 2.5]])
    with pytest.raises(ValueError, match="`initial` must be a number > 0. Received: initial=0"):
        LengthPivot(0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary_size": 1}, r"`vocabulary_size` must be an integer of at least 2"),
        ({"embedding_dim": 0}, r"`embedding_dim` must be a positive integer"),
        ({"units": 0}, r"`units` must be a positive integer. Received: units=0\."),
        ({"units": -1, "word_sum": True}, r"`units` must be a non-negative integer"),
        ({"bidirectional": 1}, r"`bidirectional` must be True or False"),
        ({"word_sum": "yes"}, r"`word_sum` must be True or False"),
        ({"in_batch": 0}, r"`in_batch` must be True or False"),
        ({"pooling": "sum"}, r"`pooling` must be one of 'last', 'mean', 'max'. .*='sum'"),
        ({"length_pivot": -1}, r"`length_pivot` must be a number >= 0. .*length_pivot=-1"),
        ({"length_pivot": float("nan")}, r"`length_pivot` must be a number >= 0"),
        ({"dropout": 1.0}, r"`dropout` must be a number from 0 up to"),
        ({"embedding_dropout": -0.1}, r"`embedding_dropout` must be a number from 0 up to"),
        ({"word_dropout": 0.1}, r"`word_dropout` needs `word_sum=True`"),
        ({"word_weights": [1.0] * 10_000}, r"`word_weights` needs `word_sum=True`"),
        (
            {"word_sum": True, "word_weights": [1.0]},
            r"must be a sequence of 10000 numbers.*\[1\.0\]",
        ),
        ({"vocabulary_size": 2, "vocabulary": ["", "?", "a"]}, r"at most 2 strings.*'a'\]"),
        ({"vocabulary": "abc"}, r"`vocabulary` must be a sequence .*vocabulary='abc'"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_answer_ranker(**arguments)


def test_the_mean_of_several_is_of_whole_precision():
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        members = [build_answer_ranker(6, embedding_dim=4, units=3) for _ in range(2)]
        averaged = average_rankers(members)
    finally:
        keras.config.set_dtype_policy(before)
    texts = [np.array([[2, 3, 4, 5], [5, 4, 3, 2]], "int32")] * 2 + [np.array([[3], [2]], "int32")]
    scores, *of_members = (
        keras.ops.convert_to_numpy(each.trainer(texts)) for each in (averaged, *members)
    )
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, np.mean(of_members, axis=0), rtol=1e-6)
    question, right = (
        keras.ops.convert_to_numpy(encoder(text))
        for encoder, text in zip(averaged[1:], texts, strict=False)
    )
    np.testing.assert_allclose((question * right).sum(axis=1), scores[:, 0], atol=1e-6)
