"""A training that was interrupted goes on, bit for bit as if it had not been."""

import errno
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from backends import BACKEND, QUICK
from interrupted_fits import FITS

from recipes.next_word import NextWord
from recipes.runs import checkpoints
from recipes.runs.checkpoints import Checkpoints, fingerprint
from recipes.runs.failures import UserError

# One task is enough to show what differs between backends.
TASKS = list(FITS) if BACKEND == "tensorflow" else ["text_classifier"]
TESTS = pathlib.Path(__file__).parents[1]


def what_it_learned(task):
    model = vars(task)["models_"].trainer if "models_" in vars(task) else task.model_
    return task.history_, [weights.tobytes() for weights in model.get_weights()]


@pytest.fixture(scope="module", autouse=True)
def a_checkpoint_after_each_epoch():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "SHARE_OF_TIME", float("inf"))
        yield


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The checkpoints of trainings that SIGKILL has ended as they wrote the second one."""
    folder = tmp_path_factory.mktemp("killed")
    program = [sys.executable, str(TESTS / "interrupted_fits.py"), str(folder), *TASKS]
    paths = {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    ended = subprocess.run(program, env={**os.environ, **paths}, capture_output=True, text=True)
    assert ended.stdout.split("\n")[:-1] == [f"{task} {signal.SIGKILL:d}" for task in TASKS], ended
    return folder


@pytest.mark.parametrize("name", TASKS)
def test_a_killed_training_goes_on_as_if_it_had_not_been(killed, name, monkeypatch):
    whole = what_it_learned(FITS[name](None))
    epochs = []
    fit = keras.Model.fit

    def noted(self, *arguments, **options):
        epochs.append(options.get("initial_epoch"))
        return fit(self, *arguments, **options)

    monkeypatch.setattr(keras.Model, "fit", noted)
    assert what_it_learned(FITS[name](killed / name)) == whole
    # The first had been written.
    assert epochs[0] == 1


def test_what_is_done_is_not_done_again(killed, monkeypatch):
    """After the test above: a classifier with both of its stages."""
    files = {path.name for path in (killed / "text_classifier").iterdir()}
    assert files == {"network-1.npz", "network-1-on-all.npz"}
    monkeypatch.setattr(keras.Model, "fit", None)
    FITS["text_classifier"](killed / "text_classifier")


class StopError(Exception):
    pass


class Act(keras.callbacks.Callback):
    """Does something in the middle of an epoch."""

    def __init__(self, epoch, act):
        super().__init__()
        self.epoch, self.act = epoch, act

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == (self.epoch, 1):
            self.act()


X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = X @ np.array([[1.0], [2.0], [-1.0]], "float32")


def fit(folder, act=None, epochs=5, settings=None, data=None, units=1):
    """Moving averages, dropout, an early stop with the best weights: all that has a state."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.5)])
    model.add(keras.layers.Dense(units, name="answer"))
    model.compile(keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.5), "mse", **QUICK)
    stopping = keras.callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True)
    history = (
        Checkpoints(folder, settings or {}, data)
        .stage("only")
        .fit(
            model,
            X,
            y=Y,
            epochs=epochs,
            batch_size=8,
            shuffle=False,
            callbacks=[
                keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
                stopping,
                *([] if act is None else [act]),
            ],
        )
    )
    return history, [weights.tobytes() for weights in model.get_weights()], np.random.random()


def fail():
    raise StopError


@pytest.mark.parametrize("epoch", [0, 3])
def test_all_that_has_a_state_is_kept(tmp_path, epoch):
    with pytest.raises(StopError):
        fit(tmp_path, Act(epoch, fail))
    history, weights, _ = fit(tmp_path)
    assert (history, weights) == fit(None)[:2]
    assert fit(tmp_path)[:2] == (history, weights)


def test_an_early_stop_comes_at_the_same_epoch(tmp_path):
    whole = fit(None, epochs=60)
    length = len(whole[0]["loss"])
    assert 3 < length < 60
    with pytest.raises(StopError):
        fit(tmp_path, Act(length - 1, fail), epochs=60)
    assert fit(tmp_path, epochs=60)[:2] == whole[:2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_epoch_end(tmp_path, number, capfd):
    def stop(*_):
        raise KeyboardInterrupt

    before = signal.signal(number, stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path, Act(1, lambda: signal.raise_signal(number)))
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)
    assert "stops after this epoch" in capfd.readouterr().err
    stage = Checkpoints(tmp_path).stage("only")
    assert (stage.epochs, stage.is_done) == (2, False)
    assert fit(tmp_path)[:2] == fit(None)[:2]


def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        found = fit(tmp_path, Act(1, lambda: signal.raise_signal(signal.SIGINT)))
    finally:
        signal.signal(signal.SIGINT, before)
    assert found[:2] == fit(None)[:2]


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_signal_stops_at_once(tmp_path):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, Act(1, twice))
    assert Checkpoints(tmp_path).stage("only").epochs == 1


def test_a_full_disk_is_one_line_and_the_last_checkpoint_survives(tmp_path, monkeypatch):
    savez, count = np.savez, 0

    def full(path, **content):
        nonlocal count
        count += 1
        if count == 3:
            pathlib.Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        savez(path, **content)

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(UserError, match=r"only\.npz cannot be written \(No space.*make room"):
            fit(tmp_path)
    assert os.listdir(tmp_path) == ["only.npz"]
    assert Checkpoints(tmp_path).stage("only").epochs == 2
    assert fit(tmp_path)[:2] == fit(None)[:2]


def test_a_checkpoint_waits_until_it_costs_no_more_than_its_share(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr(checkpoints.time, "perf_counter", lambda: now)
    monkeypatch.setattr(checkpoints, "SHARE_OF_TIME", 0.02)
    kept = Checkpoints(tmp_path)
    assert kept.is_due()
    with kept.timed():
        now += 1.0
    now = 99.0
    assert not kept.is_due()  # two of a second each, after 99 seconds
    now = 100.0
    assert kept.is_due()


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """What an interrupted training has left."""
    folder = tmp_path_factory.mktemp("left")
    with pytest.raises(StopError):
        fit(folder, Act(1, fail), settings={"epochs": 5, "seed": 0}, data=[X, "text"])
    return folder


class TestWhatDoesNotBelongTogether:
    @pytest.fixture(autouse=True)
    def copied(self, left, tmp_path):
        shutil.copy(left / "only.npz", tmp_path)

    @pytest.mark.parametrize(
        ("settings", "data", "message"),
        [
            ({"epochs": 6, "seed": 0}, [X, "text"], r"epochs was 5 and is now 6; give the same"),
            ({"seed": 0}, [X, "text"], r"epochs was 5 and is now None"),
            ({"epochs": 5, "seed": 0}, [X, "other"], r"the data have changed since"),
            ({"epochs": 5, "seed": 0}, [X + 1, "text"], r"the data have changed since"),
        ],
    )
    def test_settings_and_data(self, tmp_path, settings, data, message):
        with pytest.raises(UserError, match=message) as caught:
            Checkpoints(tmp_path, settings, data).stage("only")
        assert "\n" not in str(caught.value)

    def test_another_backend(self, tmp_path, monkeypatch):
        monkeypatch.setattr(keras.backend, "backend", lambda: "other")
        with pytest.raises(UserError, match=f"backend was '{BACKEND}' and is now 'other'"):
            Checkpoints(tmp_path, {"epochs": 5, "seed": 0}, [X, "text"]).stage("only")

    def test_another_model(self, tmp_path):
        with pytest.raises(UserError, match="is of another model"):
            fit(tmp_path, settings={"epochs": 5, "seed": 0}, data=[X, "text"], units=2)

    def test_damaged_files(self, tmp_path):
        path = tmp_path / "only.npz"
        whole = path.read_bytes()
        middle = len(whole) // 2
        for damaged in (
            b"",
            b"no archive",
            whole[:middle],
            whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
        ):
            path.write_bytes(damaged)
            with pytest.raises(UserError, match=r"only\.npz is a damaged checkpoint; delete it"):
                Checkpoints(tmp_path, {"epochs": 5, "seed": 0}, [X, "text"]).stage("only")


def test_a_folder_that_cannot_be_written_is_said_before_the_training(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="the checkpoint folder .*file.* cannot be written"):
        NextWord(verbose=0).fit(["a b c"] * 50, ["a b"], checkpoint=tmp_path / "file")


def test_equal_data_alone_have_equal_fingerprints():
    different = [
        ["ab", "c"],
        ["a", "bc"],
        [["ab"], "c"],
        [["ab", "c"]],
        ["ab", b"c"],
        ["1", "2"],
        [1, 2],
        [1.0, 2.0],
        np.array([1, 2]),
        np.array([[1, 2]]),
        np.array([1, 2], "int32"),
        ["\ud83d"],
        [None],
        [],
    ]
    found = [fingerprint(each) for each in different]
    assert len(set(found)) == len(found)
    assert found == [fingerprint(each) for each in different]
    assert fingerprint(("ab", "c")) == fingerprint(["ab", "c"])
