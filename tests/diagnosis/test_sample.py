"""What `diagnose` reads: arrays, tensors, structures, datasets and streams, never too much."""

import itertools
import time

import keras
import numpy as np
import pytest
from keras import layers, ops
from set_ups.models import ROWS, compiled, features, ids, network

import keras_ce
from keras_ce.diagnosis import _sample


@pytest.fixture(scope="module")
def model():
    """Logits of three classes."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return compiled(network("sequential", layers.Dense(3)), loss)


WRONG = ids(3) + 1  # counted from 1


def assert_found(report, rows=ROWS):
    assert [finding.code for finding in report.findings] == ["label-out-of-range"]
    assert report.rows == rows


class Batches(keras.utils.PyDataset):
    """Batches of 16 rows; counts how often it is asked."""

    def __init__(self, number):
        super().__init__()
        self.number = number
        self.asked = []

    def __len__(self):
        return self.number

    def __getitem__(self, index):
        self.asked.append(index)
        return features()[:16], WRONG[:16]


def batches_of(x, y, size=16):
    for start in range(0, len(x), size):
        yield x[start : start + size], y[start : start + size]


def tf_dataset():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((features(), WRONG)).batch(20)


def pandas_frames():
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(features()), pandas.Series(WRONG)


KINDS_OF_DATA = {
    "arrays": lambda: (features(), WRONG),
    "tensors": lambda: tuple(map(ops.convert_to_tensor, (features(), WRONG.astype("int32")))),
    "lists": lambda: (features().tolist(), WRONG.tolist()),
    "structures": lambda: ([features()], [WRONG]),
    "half precision": lambda: (features(), WRONG[:, None].astype("float16")),
    "tf.data": lambda: (tf_dataset(),),
    "PyDataset": lambda: (Batches(4),),
    "generator": lambda: (batches_of(features(), WRONG),),
    "iterable": lambda: (list_of_pairs(),),
    "pandas": pandas_frames,
}


@pytest.mark.parametrize("data", KINDS_OF_DATA.values(), ids=KINDS_OF_DATA)
def test_every_kind_of_data(model, data):
    assert_found(keras_ce.diagnose(model, *data()))


def list_of_pairs():
    class Loader:
        """An iterable of batches that is no iterator, as torch's DataLoader."""

        def __iter__(self):
            return batches_of(features(), WRONG)

    return Loader()


def test_a_torch_data_loader(model):
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(features()), torch.tensor(WRONG))
    state = torch.get_rng_state()
    report = keras_ce.diagnose(
        model, torch.utils.data.DataLoader(data, batch_size=20, shuffle=True)
    )
    assert_found(report)
    assert bool((torch.get_rng_state() == state).all())


def test_rows_are_taken_evenly_from_large_arrays(model):
    # Sorted: the first rows alone would show one class.
    number = 3 * _sample.MOST_ROWS
    y = np.sort(np.arange(number) % 3)
    report = keras_ce.diagnose(model, np.resize(features(), (number, 8)), y)
    assert report.findings == []
    assert report.rows == _sample.MOST_ROWS


def test_batches_are_taken_evenly_from_a_large_dataset(model):
    data = Batches(100_000)
    report = keras_ce.diagnose(model, data)
    assert _sample.MOST_ROWS <= report.rows <= _sample.MOST_ROWS + 16
    assert data.asked[0] == 0
    assert data.asked[-1] == 99_999
    assert "in 5,008 rows" in str(report)


def test_an_endless_generator_is_left(model):
    given = []

    def endless():
        for number in itertools.count():
            given.append(number)
            yield features(), WRONG

    report = keras_ce.diagnose(model, endless())
    assert_found(report, rows=len(given) * ROWS)
    assert report.rows < _sample.MOST_ROWS + ROWS


def test_endless_empty_batches_are_left(model):
    empty = ((features()[:0], WRONG[:0]) for _ in itertools.count())
    with pytest.raises(ValueError, match="`x` must give at least one row"):
        keras_ce.diagnose(model, empty)


def test_a_slow_generator_is_left(model, monkeypatch):
    monkeypatch.setattr(_sample, "_MOST_SECONDS", 0.1)

    def slow():
        while True:
            time.sleep(0.06)
            yield features(), WRONG

    start = time.monotonic()
    assert keras_ce.diagnose(model, slow()).rows <= 3 * ROWS
    assert time.monotonic() - start < 5


def test_an_endless_py_dataset_is_left(model):
    class Endless(Batches):
        @property
        def num_batches(self):
            return None

    assert keras_ce.diagnose(model, Endless(0)).rows >= _sample.MOST_ROWS


def test_batches_of_different_lengths():
    # As texts in batches padded to their own longest only.
    model = compiled(
        keras.Sequential(
            [
                keras.Input((None,), dtype="int32"),
                layers.Embedding(20, 4),
                layers.Dense(3),
            ]
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    given = ((ids(19, size)[:8], ids(3, size)[:8] + 1) for size in (4, 6, 5))
    report = keras_ce.diagnose(model, given)
    assert_found(report, rows=24)
    assert "of 120 labels" in report.findings[0].message


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (features()[:0], WRONG[:0], "`x` must have at least one row"),
        (features(), WRONG[:10], "same number of rows.*x has 64, y has 10"),
        (iter(()), None, "at least one row.*hand over a fresh one"),
        ([], None, "`x` must have at least one row"),
        ({}, None, "`x` must hold at least one array"),
        (features(), 3.0, "must have rows. Received: a single number, 3.0"),
        ([[1.0, 2.0], [3.0]], None, "one length per axis"),
        (iter([(1, 2, 3, 4)]), None, "must give batches .*Received: a tuple of 4 parts"),
    ],
    ids=["empty", "more inputs", "read", "nothing", "no input", "number", "ragged", "four"],
)
def test_data_that_cannot_be_read(model, x, y, message):
    with pytest.raises(ValueError, match=message):
        keras_ce.diagnose(model, x, y)


def test_labels_beside_batches(model):
    with pytest.raises(ValueError, match="`y` must be left out where `x` gives whole batches"):
        keras_ce.diagnose(model, batches_of(features(), WRONG), WRONG)
