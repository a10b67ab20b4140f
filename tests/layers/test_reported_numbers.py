"""Numbers of the positions that count, against their definition in float64 over all logits."""

import keras
import numpy as np
import pytest
from backends import BACKEND, QUICK, array
from linear_logits import small_pieces  # noqa: F401

from keras_ce import InvalidValuesError
from keras_ce.layers import AngularMarginCrossentropy, LinearCrossentropy

pytestmark = pytest.mark.usefixtures("small_pieces")
ROWS, STEPS, WIDTH, CLASSES = 11, 3, 5, 23
REPORT = ("accuracy", "top_5_accuracy", "perplexity")
GENERATOR = np.random.default_rng(0)
KERNEL = GENERATOR.normal(size=(WIDTH, CLASSES)).astype("float32")
BIAS = GENERATOR.normal(size=CLASSES).astype("float32")


def draw(rows=ROWS, generator=GENERATOR):
    """Features, of which zeros are masked; labels, of which -1 is ignored; weights, some 0."""
    features = generator.normal(size=(rows, STEPS, WIDTH)).astype("float32")
    best = features @ KERNEL + BIAS
    order = np.argsort(-best, -1)
    place = generator.choice([0, 0, 1, 4, 5, 9], (rows, STEPS, 1))
    labels = np.take_along_axis(order, place, -1)[..., 0].astype("int32")
    labels[generator.random((rows, STEPS)) < 0.2] = -1
    features[generator.random((rows, STEPS)) < 0.2] = 0
    weights = generator.choice([0.0, 0.5, 1.0, 3.0], (rows, STEPS)).astype("float32")
    return features, labels, weights


def reference(data, kernel=KERNEL, bias=BIAS):
    """The three numbers, of the positions of all rows."""
    right = near = surprise = total = 0.0
    flat = (each.reshape(-1, *each.shape[2:]) for each in data)
    for features, label, weight in zip(*flat, strict=True):
        if label == -1 or not features.any():
            continue
        logits = features.astype("float64") @ kernel.astype("float64") + bias
        right += weight * (np.argmax(logits) == label)
        near += weight * (np.sum(logits > logits[label]) < 5)
        surprise += weight * (np.log(np.sum(np.exp(logits))) - logits[label])
        total += weight
    return {
        "accuracy": right / total,
        "top_5_accuracy": near / total,
        "perplexity": np.exp(surprise / total),
    }


def trainer_of(report=REPORT, compiled=QUICK, **options):
    """A model that masks features of zeros, does not move and reports."""
    features = keras.Input((STEPS, WIDTH))
    labels, weights = keras.Input((STEPS,), dtype="int32"), keras.Input((STEPS,))
    head = LinearCrossentropy(CLASSES, ignore_class=-1, report=report, **options)
    trainer = keras.Model(
        [features, labels, weights], head(keras.layers.Masking(0.0)(features), labels, weights)
    )
    head.set_weights([KERNEL, BIAS])
    trainer.compile(keras.optimizers.SGD(0.0), **compiled)
    return trainer


class Logs(keras.callbacks.Callback):
    """The logs of all batches."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append({name: float(value) for name, value in logs.items()})


def assert_same(logs, expected, prefix=""):
    for name, value in expected.items():
        assert logs[prefix + name] == pytest.approx(value, rel=1e-5), name


COMPILED = [{}, {"run_eagerly": True}, {"jit_compile": True}, {"steps_per_execution": 2}]
if BACKEND == "torch":
    COMPILED = [{}]


@pytest.mark.parametrize("compiled", COMPILED, ids=lambda options: "-".join(options) or "plain")
def test_epochs_and_batches_against_the_definition(compiled):
    training, validation = draw(), draw(7)
    options = {"label_smoothing": 0.3, "z_loss": 0.1, "class_weight": {3: 5.0}}
    trainer, logs = trainer_of(compiled=compiled, **options), Logs()
    history = trainer.fit(
        list(training), batch_size=4, epochs=2, shuffle=False, verbose=0, callbacks=[logs],
        validation_data=(list(validation), None), validation_batch_size=3,
    ).history  # fmt: skip
    assert set(history) == {prefix + name for prefix in ("", "val_") for name in ("loss", *REPORT)}
    for epoch in range(2):
        assert_same({name: each[epoch] for name, each in history.items()}, reference(training))
        of_epoch = {name: each[epoch] for name, each in history.items()}
        assert_same(of_epoch, reference(validation), "val_")
    ends = [4, 8, 11] if "steps_per_execution" not in compiled else [8, 11]
    for batch, end in zip(logs.batches, 2 * ends, strict=True):
        assert_same(batch, reference([each[:end] for each in training]))
    assert_same(
        trainer.evaluate(list(validation), verbose=0, return_dict=True), reference(validation)
    )
    few = [each[:5] for each in validation]
    trainer.reset_metrics()  # which some versions of Keras leave to the caller
    values = trainer.train_on_batch(few)
    assert_same(dict(zip(REPORT, values[1:], strict=True)), reference(few))
    trainer.reset_metrics()
    assert_same(trainer.test_on_batch(few, return_dict=True), reference(few))
    assert trainer.metrics_names == ["loss", *REPORT]


@pytest.mark.parametrize("report", [("accuracy",), REPORT])
def test_equal_logits_are_judged_as_keras_judges_them(report):
    kernel = np.round(KERNEL)
    kernel[:, 9:14] = kernel[:, 2:7]
    features = np.round(GENERATOR.normal(size=(60, WIDTH))).astype("float32")
    features[:10] = 0
    labels = GENERATOR.integers(0, CLASSES, 60).astype("int32")
    labels[:4] = 0
    head = LinearCrossentropy(CLASSES, use_bias=False, report=report)
    head.build((None, WIDTH))
    head.set_weights([kernel])
    best = (features @ kernel).max(-1, keepdims=True) == features @ kernel
    assert np.any(best.sum(-1) > 1)
    labels[10:50] = [GENERATOR.choice(np.flatnonzero(row)) for row in best[10:50]]
    logits = head(features)
    for training in (False, True):
        head(features, labels, training=training)
        found = {metric.name: float(array(metric.result())) for metric in head.metrics}
        right = array(keras.metrics.sparse_categorical_accuracy(labels, logits))
        assert 0.1 < right.mean() < 0.8
        assert found["accuracy"] == pytest.approx(right.mean())
        for metric in head.metrics:
            metric.reset_state()
    if report == REPORT:
        near = (array(logits) > np.take_along_axis(array(logits), labels[:, None], 1)).sum(-1) < 5
        assert found["top_5_accuracy"] == pytest.approx(near.mean())


def test_two_heads_and_other_metrics():
    features, labels, weights = draw()
    inputs = keras.Input((STEPS, WIDTH)), keras.Input((STEPS,), dtype="int32")
    masked = keras.layers.Masking(0.0)(inputs[0])
    words = LinearCrossentropy(CLASSES, ignore_class=-1, report=("accuracy",), name="words")
    tags = LinearCrossentropy(CLASSES, ignore_class=-1, report=REPORT[::2], name="tags")
    dense = keras.layers.Dense(1, name="size")(inputs[0])
    outputs = {"size": dense, "a": words(masked, inputs[1]), "b": tags(masked, inputs[1])}
    model = keras.Model(inputs, outputs)
    words.set_weights([KERNEL, BIAS])
    tags.set_weights([-KERNEL, BIAS])
    model.compile(
        keras.optimizers.SGD(0.0),
        loss={"size": "mse", "a": None, "b": None},
        metrics={"size": ["mae"]},
        **QUICK,
    )
    y = {"size": features[..., :1], "a": labels, "b": labels}
    history = model.fit([features, labels], y, batch_size=4, epochs=1, verbose=0).history
    data = features, labels, np.ones_like(weights)
    assert history["words_accuracy"][0] == pytest.approx(reference(data)["accuracy"], rel=1e-5)
    expected = reference(data, -KERNEL)
    assert history["tags_perplexity"][0] == pytest.approx(expected["perplexity"], rel=1e-5)
    assert history["tags_accuracy"][0] == pytest.approx(expected["accuracy"], rel=1e-5)
    assert len(history) == 5


def test_layers_of_one_model_name_their_numbers():
    features, labels, _ = draw()
    inputs = keras.Input((STEPS, WIDTH)), keras.Input((STEPS,), dtype="int32")

    def names(*heads):
        model = keras.Model(inputs, [head(*inputs) for head in heads])
        model.compile(keras.optimizers.SGD(0.0), **QUICK)
        logs = model.train_on_batch([features, labels], return_dict=True)
        assert model.test_on_batch([features, labels], return_dict=True).keys() == logs.keys()
        return set(logs) - {"loss"}

    one, two, silent = (
        LinearCrossentropy(CLASSES, ignore_class=-1, report=report, name=name)
        for name, report in (
            ("one", ("accuracy",)),
            ("two", ["accuracy", "perplexity"]),
            (None, ()),
        )
    )
    of_both = {"one_accuracy", "two_accuracy", "two_perplexity"}
    assert names(one) == {"accuracy"}
    assert names(one, two) == of_both
    assert names(two, silent) == {"accuracy", "perplexity"}
    assert names(one, two) == of_both
    # Called by hand in between.
    one(features, labels)
    model = keras.Model(inputs, two(*inputs))
    model.compile(keras.optimizers.SGD(0.0), **QUICK)
    logs = model.evaluate([features, labels], return_dict=True, verbose=0)
    assert set(logs) == {"loss", "accuracy", "perplexity"}


def test_training_learns_the_same_and_saves_the_same(tmp_path):
    features, labels, weights = draw()
    trained = {}
    for report in ((), REPORT):
        trainer = trainer_of(report)
        trainer.compile(keras.optimizers.SGD(0.5), **QUICK)
        loss = trainer.fit([features, labels, weights], batch_size=4, shuffle=False, verbose=0)
        trained[report] = trainer.get_weights()
        assert set(loss.history) == {"loss", *report}
        assert len(trainer.non_trainable_variables) == 0
        trainer.save_weights(tmp_path / f"{len(report)}.weights.h5")
    for one, other in zip(*trained.values(), strict=True):
        np.testing.assert_array_equal(one, other)
    for report in ((), REPORT):
        trainer = trainer_of(report)
        trainer.load_weights(tmp_path / f"{3 - len(report)}.weights.h5")
        np.testing.assert_array_equal(trainer.get_weights()[0], trained[report][0])


def test_saved_and_cloned_models_report(tmp_path):
    data = draw()
    trainer = trainer_of()
    trainer.evaluate(list(data), verbose=0)
    trainer.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    clone = keras.models.clone_model(trainer)
    clone.compile("sgd", **QUICK)
    clone.set_weights(trainer.get_weights())
    for model in (loaded, clone):
        assert_same(model.evaluate(list(data), verbose=0, return_dict=True), reference(data))


def test_logits_do_not_count():
    data = draw()
    trainer = trainer_of()
    head = trainer.layers[-1]
    expected = trainer.evaluate(list(data), verbose=0, return_dict=True)
    assert head(data[0]).shape == (ROWS, STEPS, CLASSES)
    assert float(trainer.get_metrics_result()["accuracy"]) == pytest.approx(expected["accuracy"])


def test_nothing_counts():
    features, labels, weights = draw()
    logs = trainer_of().evaluate([features, labels, 0 * weights], verbose=0, return_dict=True)
    assert logs == {"loss": 0, "accuracy": 0, "top_5_accuracy": 0, "perplexity": 1}


def test_mixed_precision_counts_in_float32():
    features, labels, weights = draw()
    # Numbers that bfloat16 holds; the logits would need more digits.
    features, kernel = np.round(16 * features) / 16, np.round(16 * KERNEL) / 16
    trainer = trainer_of(dtype="mixed_bfloat16")
    trainer.layers[-1].set_weights([kernel, BIAS])
    data = [features, labels, weights]
    logs = trainer.evaluate(data, batch_size=2, verbose=0, return_dict=True)
    assert_same(logs, reference((features, labels, weights), kernel))


@pytest.mark.skipif(BACKEND == "torch", reason="eager, where it is an error")
def test_a_label_out_of_range_is_nan_when_compiled():
    features, labels, weights = draw()
    labels[2, 1], features[2, 1], weights[2, 1] = CLASSES, 1, 1
    trainer = trainer_of(compiled={"run_eagerly": False})
    logs = trainer.evaluate([features, labels, weights], verbose=0, return_dict=True)
    assert all(np.isnan(logs[name]) for name in REPORT)


def test_angular_margins_report_without_the_margin():
    features, labels, weights = draw()
    features, labels, weights = features[:, 0] + 0.1, np.abs(labels[:, 0]), weights[:, 0]
    inputs = keras.Input((WIDTH,)), keras.Input((), dtype="int32"), keras.Input(())
    head = AngularMarginCrossentropy(CLASSES, 0.4, 8.0, report=REPORT)
    trainer = keras.Model(inputs, head(*inputs))
    head.set_weights([KERNEL])
    trainer.compile(**QUICK)
    logs = trainer.evaluate([features, labels, weights], verbose=0, return_dict=True)
    unit = 8 * features / np.linalg.norm(features, axis=-1, keepdims=True)
    columns = KERNEL / np.linalg.norm(KERNEL, axis=0)
    data = unit[:, None], labels[:, None], weights[:, None]
    assert_same(logs, reference(data, columns, np.zeros(CLASSES)))


@pytest.mark.parametrize("report", ["loss", ("accuracy", "accuracy"), ("recall",), None, ({},)])
def test_what_cannot_be_reported_is_an_error(report):
    with pytest.raises(InvalidValuesError, match="each once") as caught:
        LinearCrossentropy(CLASSES, report=report)
    assert (caught.value.argument, caught.value.value) == ("report", report)


@pytest.mark.skipif(BACKEND != "jax", reason="reads the text that JAX compiles")
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("report", [(), ("accuracy", "perplexity"), REPORT])
def test_number_of_matrix_products(report, training):
    import jax

    head = LinearCrossentropy(CLASSES, use_bias=False, report=report)
    head.build((None, WIDTH))
    features, labels = draw()[0].reshape(-1, WIDTH), np.arange(ROWS * STEPS) % CLASSES

    def run(features, kernel):
        with keras.StatelessScope([(head.kernel, kernel)], collect_losses=True):
            head(features, labels, training=training)
            (total,) = head.losses
            return total, [metric.result() for metric in head.metrics]

    step = jax.value_and_grad(run, (0, 1), has_aux=True) if training else run
    text = jax.jit(step).lower(features, KERNEL).compile().as_text()
    # In a loop over pieces, whose body stands there once.
    assert text.count(" dot(") == (3 if training else 1) + ("top_5_accuracy" in report)
