"""`--resume RUN`: what a training script keeps, says and refuses."""

import errno
import json
import os
import signal
import sys

import keras
import numpy as np
import pytest
from programs import ends

import examples
from examples import train_next_word, train_string_reader
from recipes.next_word import NextWord, training

TEXTS = [f"{['the', 'a'][n % 2]} dog eats {['hay', 'bread'][n // 2 % 2]}" for n in range(80)]
RUN = ["--train", "texts.txt", "--epochs", "3", "--words-per-epoch", "99", "--output", "run"]


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """Some texts, a network that trains in seconds, and a checkpoint after each epoch."""
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("recipes.runs.checkpoints.SHARE_OF_TIME", float("inf"))
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    defaults = {**NextWord.__init__.__kwdefaults__, "embedding_dim": 4, "units": 4}
    monkeypatch.setattr(NextWord.__init__, "__kwdefaults__", defaults)


def interrupt(monkeypatch, epoch, act):
    """Something happens in the middle of an epoch, from 0."""
    validate = training.ValidationLoss.on_epoch_end

    def and_then(self, now, logs):
        if now == epoch:
            act()
        validate(self, now, logs)

    monkeypatch.setattr(training.ValidationLoss, "on_epoch_end", and_then)


def record():
    with open("run/run.json", encoding="utf-8") as file:
        return json.load(file)


def test_sigterm_then_resume(tmp_path, monkeypatch, capfd):
    with monkeypatch.context() as patch:
        interrupt(patch, 1, lambda: signal.raise_signal(signal.SIGTERM))
        assert ends(patch, "train_next_word", *RUN) == 143
    lines = capfd.readouterr().err.splitlines()
    assert "to go on: python -m examples.train_next_word --resume run" in lines
    assert lines[-1] == "stopped"
    assert sorted(os.listdir("run")) == ["checkpoint", "run.json"]
    assert not record()["is_finished"]
    # From elsewhere, and what a killed writer has left is removed.
    (tmp_path / "run" / ".123-metrics.json").write_text("{")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    train_next_word.main(train_next_word.parse(["--resume", "../run"]))
    assert "goes on after epoch 2 of 3" in capfd.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert record()["is_finished"]
    left = os.listdir("run")
    assert "model.png" in left
    assert not {"checkpoint", ".123-metrics.json"}.intersection(left)
    with open("run/metrics.json", encoding="utf-8") as file:
        assert json.load(file)["epochs"] == 3
    # There is nothing left to do.
    with pytest.raises(SystemExit) as exited:
        train_next_word.parse(["--resume", "run"])
    assert exited.value.code == 0
    assert "run is finished" in capfd.readouterr().err


@pytest.mark.usefixtures("ctrl_c")
def test_a_full_disk_then_room(monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        said = ends(patch, "train_next_word", *RUN)
    assert said.startswith("error: ")
    assert "No space left on device" in said
    assert "--resume run" in capsys.readouterr().err
    # The same command is refused, and says what to do.
    said = ends(monkeypatch, "train_next_word", *RUN)
    assert "or go on with it: --resume run" in said
    with monkeypatch.context() as patch:
        interrupt(patch, 0, lambda: signal.raise_signal(signal.SIGINT))
        assert ends(patch, "train_next_word", "--resume", "run") == 130
    # Data that have changed since are an error.
    with open("texts.txt", "a", encoding="utf-8") as file:
        file.write("\none more dog eats hay")
    assert "the data have changed since" in ends(monkeypatch, "train_next_word", "--resume", "run")
    assert os.listdir("run/checkpoint") == ["model.npz"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume", "run", "--epochs", "4"], "--resume takes nothing but the folder"),
        (["--resume", "missing"], "missing holds no run to go on with"),
        (["--resume", "texts.txt"], "texts.txt holds no run to go on with"),
        (["--resume", "damaged"], "run.json is damaged; start a new run"),
        (["--resume", "other"], "other is a run of examples.train_next_word; go on with that"),
    ],
)
def test_what_cannot_be_resumed_is_said_at_once(tmp_path, capsys, arguments, message):
    for name, content in (
        ("damaged", '{"name": "next_wo'),
        (
            "other",
            json.dumps(
                {
                    "name": "next_word",
                    "options": {"units": 3},
                    "is_finished": False,
                    "directory": str(tmp_path),
                    "backend": "tensorflow",
                }
            ),
        ),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(content)
    with pytest.raises(SystemExit) as exited:
        train_string_reader.parse(arguments)
    assert exited.value.code == 2
    assert message in capsys.readouterr().err


def test_two_processes_do_not_write_into_one_folder(monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    interrupt(monkeypatch, 0, lambda: signal.raise_signal(signal.SIGTERM))
    assert ends(monkeypatch, "train_next_word", *RUN) == 143
    before = sorted(os.listdir("run"))
    other = os.open("run", os.O_RDONLY)  # a claim is of what was opened, not of the process
    fcntl.flock(other, fcntl.LOCK_EX)
    line = "error: another process writes into run at this moment; let it end, or name another"
    assert ends(monkeypatch, "train_next_word", "--resume", "run").startswith(line)
    assert sorted(os.listdir("run")) == before
    os.mkdir("empty")
    empty = os.open("empty", os.O_RDONLY)
    fcntl.flock(empty, fcntl.LOCK_EX)
    line = line.replace("run", "empty")
    assert ends(monkeypatch, "train_next_word", *RUN[:-1], "empty").startswith(line)
    assert os.listdir("empty") == []
    os.close(other)
    os.close(empty)


def test_a_directory_that_is_gone_is_said(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    options = {name: None for name in vars(train_next_word.parse([])) if name != "resume"}
    about = {"name": "next_word", "is_finished": False, "backend": "tensorflow"}
    content = {**about, "options": options, "directory": str(tmp_path / "gone")}
    (tmp_path / "run" / "run.json").write_text(json.dumps(content))
    with pytest.raises(SystemExit):
        train_next_word.parse(["--resume", "run"])
    assert "where the run was started, is gone" in capsys.readouterr().err


def test_closed_and_full_output_is_no_traceback(monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        examples.run(lambda _: print("a line"), None)
        sys.stdout.close()
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w", encoding="utf-8") as full:
            monkeypatch.setattr(sys, "stdout", full)
            with pytest.raises(SystemExit) as exited:
                examples.run(lambda _: print("a line"), None)
        assert "standard output" in exited.value.code
        assert "No space left on device" in exited.value.code
