"""Against loops over all pairs in float64, which never see the layer's tiles."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from backends import BACKEND, COMPILED_MODES, MODES, QUICK, QUICK_MODE, array, gradient, invalid
from keras import ops

import keras_ce
from keras_ce._core import pairs as core
from keras_ce.layers import ContrastivePairs
from keras_ce.losses import InBatchCrossentropy, in_batch_crossentropy

BATCH, WIDTH, TEMPERATURE = 11, 3, 0.3  # a prime number of rows
GENERATOR = np.random.default_rng(0)
QUESTIONS = GENERATOR.normal(size=(BATCH, WIDTH)).astype("float32")
ANSWERS = GENERATOR.normal(size=(BATCH, WIDTH)).astype("float32")
IDS = np.array([7, 3, 7, -2, 3, 5, 7, 0, 11, -9, 2], "int32")
UPSTREAM = GENERATOR.uniform(0.5, 2, BATCH).astype("float32")
UPSTREAM[4] = 0
WEIGHTS = np.array([1, 2, 0, 1, 0.5, 1, 3, 0, 1, 1, 1], "float32")


@pytest.fixture(autouse=True, scope="module")
def tiles_of_two_rows():
    """Four whole tiles and one of three rows."""
    core._passes.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "ELEMENTS_OF_A_TILE", 3 * BATCH)
        yield
    core._passes.cache_clear()


def one_direction(rows, candidates, ids, candidate_ids, kept, right):
    """Losses, and for each row its gradients by itself (D,) and by all candidates (M, D)."""
    losses, of_rows, of_candidates = [], [], []
    for index, row in enumerate(rows):
        powers = np.zeros(len(candidates))
        exponents = [float(row @ other) / TEMPERATURE for other in candidates]
        for column, exponent in enumerate(exponents):
            is_other_answer = kept[column] and candidate_ids[column] != ids[index]
            if is_other_answer or column == right[index]:
                powers[column] = np.exp(exponent - max(exponents))
        shares = powers / powers.sum()
        losses.append(-np.log(shares[right[index]]))
        shares[right[index]] -= 1
        of_rows.append(shares @ candidates / TEMPERATURE)
        of_candidates.append(np.outer(shares, row) / TEMPERATURE)
    shape = len(rows), len(candidates), rows.shape[1]
    of_rows, of_candidates = np.reshape(of_rows, shape[::2]), np.reshape(of_candidates, shape)
    return np.array(losses), of_rows, of_candidates


def reference(
    questions=QUESTIONS, answers=ANSWERS, ids=None, symmetric=False, upstream=UPSTREAM, kept=None
):
    """Losses, and the gradients of their sum weighted by `upstream`."""
    questions, answers, upstream = (
        item.astype("float64") for item in (questions, answers, upstream)
    )
    number = len(questions)
    right = np.arange(number)
    ids = right if ids is None else ids
    kept = np.ones(number, bool) if kept is None else kept
    losses, of_questions, of_answers = one_direction(questions, answers, ids, ids, kept, right)
    of_questions = of_questions * upstream[:, None]
    of_answers = np.einsum("n,nmd->md", upstream, of_answers)
    if symmetric:
        other, by_answers, by_questions = one_direction(answers, questions, ids, ids, kept, right)
        losses = (losses + other) / 2
        of_questions = (of_questions + np.einsum("n,nmd->md", upstream, by_questions)) / 2
        of_answers = (of_answers + by_answers * upstream[:, None]) / 2
    return losses, of_questions, of_answers


def of_both(function, mode=QUICK_MODE, questions=QUESTIONS, answers=ANSWERS, upstream=UPSTREAM):
    """Weighted losses of `function(questions, answers)`, and the gradients of their sum by both."""
    number = len(questions)

    def run(both, upstream):
        return function(both[:number], both[number:]) * upstream

    values, slopes = gradient(run, np.concatenate([questions, answers]), upstream, mode=mode)
    return values, slopes[:number], slopes[number:]


def assert_close(found, expected, upstream=UPSTREAM):
    losses, *slopes = expected
    np.testing.assert_allclose(found[0], losses * upstream, rtol=1e-5, atol=1e-7)
    for slope, exact in zip(found[1:], slopes, strict=True):
        np.testing.assert_allclose(slope, exact, atol=2e-6 * max(1, np.abs(exact).max(initial=0)))


# --- value and gradient ---


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("symmetric", "ids"),
    [(False, None), (False, IDS), (True, IDS)],
    ids=["unique", "repeated", "symmetric"],
)
def test_losses_and_gradients_with_a_factor_for_each_row(symmetric, ids, mode):
    pairs = ContrastivePairs(TEMPERATURE, symmetric)
    found = of_both(lambda *both: pairs(*both, ids), mode)
    assert_close(found, reference(ids=ids, symmetric=symmetric))


@pytest.mark.parametrize("ids", [None, IDS], ids=["unique", "repeated"])
def test_equals_the_loss_of_the_catalogue(ids):
    pairs = ContrastivePairs(TEMPERATURE)
    labels = np.arange(BATCH) if ids is None else ids

    def of_matrix(questions, answers):
        similarities = ops.matmul(questions, ops.transpose(answers))
        return in_batch_crossentropy(labels, similarities, TEMPERATURE)

    found = of_both(lambda *both: pairs(*both, ids))
    for mine, theirs in zip(found, of_both(of_matrix), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)
    losses = InBatchCrossentropy(TEMPERATURE, reduction="mean_with_sample_weight")
    similarities = QUESTIONS @ ANSWERS.T
    for weights in (None, WEIGHTS, WEIGHTS[:, None]):
        pairs(QUESTIONS, ANSWERS, ids, weights)
        expected = float(losses(labels, similarities, weights))
        assert float(array(pairs.losses[0])) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("number", [1, 2, 6, 7, 12])
def test_every_number_of_rows(number):
    questions, answers, upstream = (
        np.concatenate([item, item[::-1]])[:number] for item in (QUESTIONS, ANSWERS, UPSTREAM)
    )
    pairs = ContrastivePairs(TEMPERATURE)
    found = of_both(pairs, MODES[0], questions, answers, upstream)
    assert_close(found, reference(questions, answers, upstream=upstream), upstream)
    if number == 1:
        np.testing.assert_array_equal(np.concatenate([np.ravel(item) for item in found]), 0)


def test_an_empty_batch_costs_nothing():
    empty = np.zeros((0, WIDTH), "float32")
    for symmetric in (False, True):
        pairs = ContrastivePairs(TEMPERATURE, symmetric)
        found = of_both(pairs, "eager", empty, empty, np.zeros(0, "float32"))
        assert [item.shape for item in found] == [(0,), (0, WIDTH), (0, WIDTH)]
        pairs(empty, empty, np.zeros(0, "int32"))
        assert float(array(pairs.losses[0])) == 0


def test_tiny_losses_are_exact():
    questions = np.eye(3, dtype="float32")
    answers = (9 * np.eye(3)).astype("float32")
    losses, of_questions, _ = of_both(
        ContrastivePairs(TEMPERATURE), "eager", questions, answers, np.ones(3, "float32")
    )
    tiny = 2 * np.exp(-9 / 0.3)
    np.testing.assert_allclose(losses, tiny, rtol=5e-6)
    np.testing.assert_allclose(np.diag(of_questions), -9 / 0.3 * tiny, rtol=1e-5)


def test_similarities_hundreds_apart():
    questions = 40 * QUESTIONS
    found = of_both(ContrastivePairs(TEMPERATURE), QUICK_MODE, questions)
    expected = reference(questions)
    assert expected[0].max() > 300
    assert_close(found, expected)


def test_second_derivatives():
    pairs = ContrastivePairs(TEMPERATURE)

    def squared_gradient(questions):
        if BACKEND == "jax":
            import jax

            slopes = jax.grad(lambda questions: pairs(questions, ANSWERS).sum())(questions)
        elif BACKEND == "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                tape.watch(questions)
                losses = pairs(questions, ANSWERS)
            slopes = tape.gradient(losses, questions)
        else:
            import torch

            losses = pairs(questions, torch.tensor(ANSWERS)).sum()
            (slopes,) = torch.autograd.grad(losses, questions, create_graph=True)
        return keras.ops.sum(slopes**2)

    _, found = gradient(squared_gradient, QUESTIONS)
    step, ones = 1e-5, np.ones(BATCH)
    for position in ((0, 0), (3, 2), (10, 1)):
        sides = []
        for sign in (1, -1):
            moved = QUESTIONS.astype("float64")
            moved[position] += sign * step
            sides.append((reference(moved, upstream=ones)[1] ** 2).sum())
        assert found[position] == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-4)


# --- ids ---


def test_ids_of_every_type_and_shape():
    ids = np.abs(IDS)
    pairs = ContrastivePairs(TEMPERATURE)
    expected = reference(ids=ids)[0]
    for dtype in ("int8", "uint16", "uint32", "int64", "float32", "float64"):
        given = ids.astype(dtype)
        np.testing.assert_allclose(array(pairs(QUESTIONS, ANSWERS, given)), expected, rtol=1e-5)
    np.testing.assert_allclose(array(pairs(QUESTIONS, ANSWERS, given[:, None])), expected, 1e-5)


def test_one_question_only_has_nothing_to_lose_to():
    pairs = ContrastivePairs(TEMPERATURE, symmetric=True)
    for item in of_both(lambda *both: pairs(*both, np.full(BATCH, 3))):
        np.testing.assert_array_equal(item, 0)


def test_an_invalid_id_is_an_error():
    ids = IDS.astype("float32")
    ids[5] = 1.5
    for given, position in ((ids, (5,)), (ids[:, None], (5, 0))):
        with invalid("ids", "integers within int32", position=position, value=ids[5]):
            ContrastivePairs()(QUESTIONS, ANSWERS, given)
    weights = np.ones(BATCH, "float32")
    weights[5] = 0
    losses = array(ContrastivePairs(TEMPERATURE)(QUESTIONS, ANSWERS, ids, weights))
    assert losses[5] == 0
    unlike = IDS.copy()
    unlike[5] = 99
    others = np.arange(BATCH) != 5
    np.testing.assert_allclose(losses[others], reference(ids=unlike)[0][others], rtol=1e-5)


@pytest.mark.parametrize("mode", COMPILED_MODES)
def test_an_invalid_id_is_nan_without_gradient_when_compiled(mode):
    ids = IDS.astype("float32")
    ids[[5, 8]] = 1.5, np.nan
    pairs = ContrastivePairs(TEMPERATURE)
    found = of_both(lambda *both: pairs(*both, ops.convert_to_tensor(ids)), mode)
    assert np.isnan(found[0][[5, 8]]).all()
    upstream = UPSTREAM.copy()
    upstream[[5, 8]] = 0
    unlike = IDS.copy()
    unlike[[5, 8]] = 98, 99  # nobody's: their answers stay candidates
    assert_close(
        (np.nan_to_num(found[0], nan=0), *found[1:]),
        reference(ids=unlike, upstream=upstream),
        upstream,
    )


# --- what does not count ---


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_row_of_weight_0_leaves_the_loss_and_its_vectors_stay_candidates(symmetric):
    pairs = ContrastivePairs(TEMPERATURE, symmetric)
    found = of_both(lambda *both: pairs(*both, IDS, WEIGHTS))
    upstream = UPSTREAM * (WEIGHTS > 0)
    assert_close(found, reference(ids=IDS, symmetric=symmetric, upstream=upstream), upstream)
    pairs(QUESTIONS, ANSWERS, IDS, WEIGHTS)
    mean = np.average(reference(ids=IDS, symmetric=symmetric)[0], weights=WEIGHTS)
    assert float(array(pairs.losses[0])) == pytest.approx(mean, rel=1e-5)


def test_a_row_of_weight_0_may_hold_anything():
    questions, answers = QUESTIONS.copy(), ANSWERS.copy()
    questions[2], answers[2], questions[7] = np.nan, np.inf, 1e30
    pairs = ContrastivePairs(TEMPERATURE)
    kept = np.arange(BATCH) != 2
    upstream = UPSTREAM * (WEIGHTS > 0)
    found = of_both(lambda *both: pairs(*both, None, WEIGHTS), QUICK_MODE, questions, answers)
    assert_close(found, reference(kept=kept, upstream=upstream), upstream)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("ids", [None, IDS], ids=["unique", "repeated"])
def test_masked_answers_are_no_candidates(ids, symmetric):
    mask = np.arange(BATCH) % 4 != 1
    answers = np.where(mask[:, None], ANSWERS, np.float32(np.nan))
    questions = np.where(mask[:, None] | (not symmetric), QUESTIONS, np.float32(np.inf))
    pairs = ContrastivePairs(TEMPERATURE, symmetric)
    masks = {"answers_mask": mask} | ({"questions_mask": mask} if symmetric else {})

    def run(*both):
        return pairs(
            *both, ids, **{name: ops.convert_to_tensor(each) for name, each in masks.items()}
        )

    upstream = UPSTREAM * mask
    expected = reference(ids=ids, symmetric=symmetric, upstream=upstream, kept=mask)
    assert_close(of_both(run, QUICK_MODE, questions, answers), expected, upstream)
    run(questions, answers)
    assert float(array(pairs.losses[0])) == pytest.approx(expected[0][mask].mean(), rel=1e-5)


def test_a_masked_question_leaves_the_loss_and_its_answer_stays_a_candidate():
    mask = np.arange(BATCH) % 4 != 1
    questions = np.where(mask[:, None], QUESTIONS, np.float32(np.nan))
    pairs = ContrastivePairs(TEMPERATURE)
    losses = array(pairs(questions, ANSWERS, questions_mask=ops.convert_to_tensor(mask)))
    expected = reference()[0]
    np.testing.assert_allclose(losses[mask], expected[mask], rtol=1e-5)
    np.testing.assert_array_equal(losses[~mask], 0)
    assert float(array(pairs.losses[0])) == pytest.approx(expected[mask].mean(), rel=1e-5)


def test_no_weight_at_all_is_zero_with_zero_gradient():
    pairs = ContrastivePairs(TEMPERATURE, symmetric=True)
    nothing = np.full_like(QUESTIONS, np.nan)
    weights = np.zeros(BATCH, "float32")
    for item in of_both(lambda *both: pairs(*both, None, weights), QUICK_MODE, nothing, nothing):
        np.testing.assert_array_equal(item, 0)
    pairs(nothing, nothing, None, weights)
    assert float(array(pairs.losses[0])) == 0


def test_keras_hands_over_the_masks_of_both():
    """A model whose sequences are padded: two rows hold no word of an answer, one of a question."""

    class FirstVector(keras.layers.Layer):
        """The first time step, masked where it is padding."""

        supports_masking = True

        def call(self, vectors):
            return vectors[:, 0]

        def compute_mask(self, vectors, mask):
            return mask[:, 0]

    def encoder(vectors):
        tokens = keras.Input((None,), dtype="int32")
        embedding = keras.layers.Embedding(BATCH + 1, WIDTH, mask_zero=True)
        encoded = FirstVector()(embedding(tokens))
        embedding.set_weights([np.concatenate([np.full((1, WIDTH), 9.0), vectors])])
        return tokens, encoded

    (question, encoded_question), (answer, encoded_answer) = encoder(QUESTIONS), encoder(ANSWERS)
    losses = ContrastivePairs(TEMPERATURE)(encoded_question, encoded_answer)
    model = keras.Model([question, answer], losses)
    tokens = np.arange(1, BATCH + 1)[:, None].repeat(2, 1)
    questions, answers = tokens.copy(), tokens.copy()
    questions[4], answers[[0, 7]] = 0, 0
    model.compile("sgd", **QUICK)
    kept = np.isin(np.arange(BATCH), [0, 7], invert=True)
    counted = kept & (np.arange(BATCH) != 4)
    expected = reference(kept=kept)[0]
    found = model.evaluate([questions, answers], verbose=0, batch_size=BATCH)
    assert found == pytest.approx(expected[counted].mean(), rel=1e-5)


# --- arguments and shapes ---


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("temperature", 0, "a positive number"),
        ("temperature", True, "a positive number"),
        ("temperature", float("nan"), "a positive number"),
        ("symmetric", 1, "True or False"),
    ],
)
def test_bad_arguments(name, value, expected):
    with invalid(name, expected, value=value):
        ContrastivePairs(**{name: value})


@pytest.mark.parametrize(
    ("questions", "answers"), [((4, 3), (5, 3)), ((4, 3), (4, 2)), ((4,), (4,)), ((2, 4, 3),) * 2]
)
def test_vectors_of_other_shapes_are_refused(questions, answers):
    for make in (np.zeros, keras.KerasTensor):
        with pytest.raises(ValueError, match=r"vectors of the same shape \(batch, D\)"):
            ContrastivePairs()(make(questions), make(answers))


@pytest.mark.parametrize("shape", [(BATCH + 1,), (), (BATCH, 2), (1, BATCH)])
def test_ids_and_weights_of_other_shapes_are_refused(shape):
    numbers = np.zeros(shape, "int32")
    with pytest.raises(ValueError, match=r"`ids` must hold one id per row, of shape \(11,\) or"):
        ContrastivePairs()(QUESTIONS, ANSWERS, numbers)
    if shape:
        with pytest.raises(ValueError, match="`sample_weight` must be a scalar, or have one"):
            ContrastivePairs()(QUESTIONS, ANSWERS, None, numbers)


# --- precision ---


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_computes_in_float32(policy):
    half = policy.removeprefix("mixed_")
    questions, answers = (ops.cast(item, half) for item in (QUESTIONS, ANSWERS))
    ids = np.array([256, 257, 512, 513, 514, 515, 516, 517, 518, 519, 2**24 + 1], "float32")
    losses = ContrastivePairs(TEMPERATURE, dtype=policy)(questions, answers, ids)
    assert keras.backend.standardize_dtype(losses.dtype) == "float32"
    expected = reference(array(questions), array(answers), ids=ids)[0]
    np.testing.assert_allclose(array(losses), expected, rtol=1e-5)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no float64 unless it is switched on")
def test_float64_is_kept():
    pairs = ContrastivePairs(TEMPERATURE, dtype="float64")
    losses = pairs(QUESTIONS.astype("float64"), ANSWERS.astype("float64"))
    np.testing.assert_allclose(array(losses), reference()[0], rtol=1e-12)


# --- models ---


def two_towers(calls=1, policy="float32", **options):
    """Question and answer through a Dense each; ids and weights are inputs too."""
    inputs = [
        keras.Input((WIDTH,)),
        keras.Input((WIDTH,)),
        keras.Input((), dtype="int32"),
        keras.Input(()),
    ]
    towers = [
        keras.layers.Dense(WIDTH, kernel_initializer="identity", dtype=policy)(item)
        for item in inputs[:2]
    ]
    layers = [ContrastivePairs(TEMPERATURE, dtype=policy, **options) for _ in range(calls)]
    return keras.Model(inputs, [layer(*towers, *inputs[2:]) for layer in layers])


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_model_is_fitted_without_loss_and_targets(policy):
    """With float16 Keras multiplies the loss by a large number, and divides the gradients by it."""
    model = two_towers(policy=policy)
    assert model.outputs[0].shape == (None,)
    model.compile(keras.optimizers.SGD(0.1), **QUICK)
    data = [QUESTIONS, ANSWERS, IDS, WEIGHTS]
    half = [
        array(ops.cast(item, policy.removeprefix("mixed_"))).astype("float64") for item in data[:2]
    ]
    share = WEIGHTS / WEIGHTS.sum()
    losses, of_questions, of_answers = reference(*half, ids=IDS, upstream=share)
    found = model.evaluate(data, batch_size=BATCH, verbose=0)
    assert found == pytest.approx(np.sum(losses * share), rel=1e-5)
    model.fit(data, batch_size=BATCH, verbose=0)
    tolerance = 1e-6 if policy == "float32" else 2e-3
    for layer, vectors, slopes in zip(
        [item for item in model.layers if isinstance(item, keras.layers.Dense)],
        half,
        (of_questions, of_answers),
        strict=True,
    ):
        moved = np.eye(WIDTH) - layer.get_weights()[0]
        np.testing.assert_allclose(moved, 0.1 * vectors.T @ slopes, atol=tolerance)


@pytest.mark.parametrize("factor", [1.0, 1024.0])
def test_the_added_loss_and_the_losses_have_their_gradients_at_once(factor):
    """Both together, the added mean times a factor, as a loss scale is one."""
    pairs = ContrastivePairs(TEMPERATURE)

    def run(both, upstream):
        losses = pairs(both[:BATCH], both[BATCH:], IDS, WEIGHTS)
        (mean,) = pairs.losses
        return ops.append(losses * upstream, factor * mean)

    both = np.concatenate([QUESTIONS, ANSWERS])
    _, slopes = gradient(run, both, UPSTREAM)
    upstream = UPSTREAM * (WEIGHTS > 0) + factor * WEIGHTS / WEIGHTS.sum()
    expected = np.concatenate(reference(ids=IDS, upstream=upstream)[1:])
    np.testing.assert_allclose(slopes, expected, atol=2e-6 * np.abs(expected).max())


def test_two_layers_in_one_model_add_up():
    model = two_towers(2)
    model.compile("sgd", **QUICK)
    data = [QUESTIONS, ANSWERS, IDS, WEIGHTS]
    found = model.evaluate(data, batch_size=BATCH, verbose=0, return_dict=True)["loss"]
    assert found == pytest.approx(2 * np.average(reference(ids=IDS)[0], weights=WEIGHTS), rel=1e-5)


@pytest.mark.skipif(BACKEND == "jax", reason="Keras forgets the first call's loss on JAX")
def test_one_layer_twice_in_one_model_adds_up():
    questions, answers = keras.Input((WIDTH,)), keras.Input((WIDTH,))
    pairs = ContrastivePairs(TEMPERATURE)
    model = keras.Model(
        [questions, answers], [pairs(questions, answers), pairs(answers, questions)]
    )
    model.compile("sgd", **QUICK)
    found = model.evaluate([QUESTIONS, ANSWERS], batch_size=BATCH, verbose=0, return_dict=True)
    expected = 2 * reference(symmetric=True)[0].mean()
    assert found["loss"] == pytest.approx(expected, rel=1e-5)


def test_training_finds_the_pairs(monkeypatch):
    monkeypatch.setattr(core, "ELEMENTS_OF_A_TILE", 16 * 16)
    generator = np.random.default_rng(3)
    questions = generator.normal(size=(40, 6)).astype("float32")
    answers = questions @ generator.normal(size=(6, 6)).astype("float32")
    inputs = [keras.Input((6,)), keras.Input((6,))]
    keras.utils.set_random_seed(0)
    towers = [keras.layers.UnitNormalization()(keras.layers.Dense(4)(item)) for item in inputs]
    model = keras.Model(inputs, ContrastivePairs(0.1, symmetric=True)(*towers))
    model.compile(keras.optimizers.Adam(0.05), **QUICK)
    losses = model.fit([questions, answers], batch_size=16, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2


def test_a_saved_model_gives_the_same(tmp_path):
    model = two_towers(symmetric=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    config = again.layers[-1].get_config()
    assert (config["temperature"], config["symmetric"]) == (TEMPERATURE, True)
    data = [ops.convert_to_tensor(item) for item in (QUESTIONS, ANSWERS, IDS, WEIGHTS)]
    np.testing.assert_array_equal(array(again(data)[0]), array(model(data)[0]))


def test_unknown_batch_in_a_graph():
    if BACKEND != "tensorflow":
        pytest.skip("only TensorFlow traces unknown dimensions")
    import tensorflow as tf

    pairs = ContrastivePairs(TEMPERATURE)
    specs = [tf.TensorSpec([None, WIDTH], "float32")] * 2 + [tf.TensorSpec([None, None], "int32")]

    @tf.function(input_signature=specs)
    def traced(questions, answers, ids):
        with tf.GradientTape() as tape:
            tape.watch(answers)
            values = pairs(questions, answers, ids, training=True)
            (added,) = pairs.losses
        return values, tape.gradient(added, answers)

    for size in (BATCH, 4, 1, 0):
        values, slopes = traced(QUESTIONS[:size], ANSWERS[:size], IDS[:size, None])
        share = np.full(size, 1 / max(size, 1))
        expected = reference(QUESTIONS[:size], ANSWERS[:size], IDS[:size], upstream=share)
        np.testing.assert_allclose(values, expected[0], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(slopes, expected[2], atol=2e-6)


def test_without_compilation_of_its_own():
    keras_ce.set_compilation(False)
    try:
        pairs = ContrastivePairs(TEMPERATURE)
        found = of_both(lambda *both: pairs(*both, IDS), "eager")
    finally:
        keras_ce.set_compilation(True)
    assert_close(found, reference(ids=IDS))


MEMORY_SCRIPT = """
import numpy as np, sys
sys.path.insert(0, "tests")
from backends import gradient
from keras_ce.layers import ContrastivePairs

def megabytes(name):
    (line,) = (line for line in open("/proc/self/status") if line.startswith(name))
    return int(line.split()[1]) / 1024

pairs = ContrastivePairs()
def step(number):
    both = np.random.default_rng(0).normal(size=(2, number, 16)).astype("float32")
    gradient(lambda both: pairs(both[0], both[1]), both, mode="eager")
step(32)  # compiles, and starts what starts once
before = megabytes("VmRSS")
step(8192)
print("RESULT", megabytes("VmHWM") - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_never_holds_rows_times_rows(request):
    completed = subprocess.run(
        [sys.executable, "-c", MEMORY_SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        cwd=request.config.rootpath,
    )
    assert completed.returncode == 0, completed.stderr
    grown = float(completed.stdout.partition("RESULT")[2])
    matrix = 8192 * 8192 * 4 / 2**20
    assert grown < 0.6 * matrix
