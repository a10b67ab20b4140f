"""Bad input for every program, row by row: one clear line, nothing lost, nothing left behind.

What only one program can be given stands in the tests of that program; here stands what all of
them can: files that are missing, empty, damaged, of another kind, or where no file may be.
"""

import gzip
import importlib
import io
import itertools
import os
import pathlib
import pickle
import struct
import tarfile
import zipfile
import zlib

import drawn_strings
import keras
import numpy as np
import pytest
from PIL import Image

from recipes.runs.failures import UserError
from recipes.string_reader import build_string_reader
from recipes.tables import table_files
from recipes.text_classifier import build_text_classifier

LINES = [f"word{number % 7} and word{number % 5},{'ab'[number % 2]}" for number in range(60)]
TABLE = "\n".join(["text,label", *LINES, ""])
QUESTIONS = "question,answer,label\n" + "".join(
    f"what is word{number // 2},it is word{number // 2} {number},{number % 2}\n"
    for number in range(60)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of each kind, good and bad."""
    folder = tmp_path_factory.mktemp("input")
    write = {
        "good.csv": TABLE.encode(),
        "good.txt": "\n".join(LINES).encode(),
        "questions.csv": QUESTIONS.encode(),
        "header.csv": b"text,label\n",
        "question_header.csv": b"question,answer,label\n",
        "empty.csv": b"",
        "twice.csv": b"text,label,label\na,b,c\n",
        "good.zip": b"PK\x03\x04" + bytes(99),
        "empty.txt": b" \n\n",
        "cut.csv.gz": gzip.compress(TABLE.encode())[:-20],
        "cut.txt.gz": gzip.compress(TABLE.encode())[:-20],
        "cut.jsonl": b'{"text": "a", "label": "b"}\n{"text": "a", "la',
        "long.csv.gz": gzip.compress(TABLE.encode() + bytes(10_000)),
        "list.jsonl": b'["a", "b"]\n',
        "no.keras": b"no model",
    }
    for name, content in write.items():
        (folder / name).write_bytes(content)
    with zipfile.ZipFile(folder / "no_model.keras", "w") as archive:
        archive.writestr("notes.txt", "hello")
    for name in ("empty", "holds"):
        (folder / name).mkdir()
    (folder / "holds" / "notes.txt").write_text("mine")
    drawn_strings.write_folder(folder / "pictures", 45)
    drawn = {name: image for name, _, image in drawn_strings.strings(45)}
    whole = drawn_strings.write_tar(folder / "good.tar", drawn).read_bytes()
    (folder / "cut.tar").write_bytes(whole[: len(whole) // 2])
    (folder / "cut.tar.gz").write_bytes(gzip.compress(whole)[:-2000])
    np.savez(folder / "good.npz", x=np.zeros((4, 3)), y=np.zeros(4))
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    other.save(folder / "other.keras")
    build_text_classifier(9, 2, embedding_dim=2, units=2).save(folder / "text.keras")
    build_string_reader((10, 16, 1), 2, 3, alphabet="xyz", filters=(2,), units=2).save(
        folder / "reader.keras"
    )
    whole = (folder / "reader.keras").read_bytes()
    (folder / "cut.keras").write_bytes(whole[: len(whole) // 2])
    damaged = bytearray((folder / "text.keras").read_bytes())
    damaged[len(damaged) // 2] ^= 8
    (folder / "flipped.keras").write_bytes(damaged)
    write_what_is_hostile(folder)
    return folder


class Hostile:
    """Leaves a folder where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def write_what_is_hostile(folder):
    """What would be executed, written elsewhere, waited for without end, or fill the memory."""
    (folder / "pickle.keras").write_bytes(pickle.dumps(Hostile()))
    code = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: 2 * x)])
    code.save(folder / "code.keras")
    with zipfile.ZipFile(folder / "outside.keras", "w") as archive:
        for name in ("../../outside.txt", "config.json", "metadata.json", "model.weights.h5"):
            archive.writestr(name, "{}")
    (folder / "deep.jsonl").write_text("[" * 100_000 + "]" * 100_000 + "\n")
    (folder / "loop.csv").symlink_to("loop.csv")
    for name, kind in (
        ("../outside.png", tarfile.REGTYPE),
        ("link.png", tarfile.SYMTYPE),
        ("hard.png", tarfile.LNKTYPE),
        ("device.png", tarfile.CHRTYPE),
    ):
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        with tarfile.open(folder / f"{pathlib.Path(name).stem}.tar", "w") as archive:
            archive.addfile(member)
    for name in ("bomb", "dangling", "pipe"):
        (folder / name).mkdir()
    # A hundred thousand pixels square, of a few bytes.
    small = io.BytesIO()
    Image.new("L", (8, 8)).save(small, "PNG")
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    checked = header + struct.pack(">I", zlib.crc32(header))
    (folder / "bomb" / "a.png").write_bytes(small.getvalue()[:12] + checked + small.getvalue()[33:])
    (folder / "dangling" / "a.png").symlink_to("nowhere")
    os.mkfifo(folder / "pipe" / "a.png")


TEXTS = "train_text_classifier --train"
RANKER = "train_answer_ranker --train"
WORDS = "train_next_word --train"
IMAGES = "train_string_reader --images"
DIAGNOSE = "diagnose_model reader.keras --data"

ONE_PROGRAM = [
    # Files of texts.
    (f"{TEXTS} header.csv", r"header\.csv .*no rows"),
    (f"{TEXTS} good.zip", r"good\.zip is .*(zip archive|no known format)"),
    (f"{TEXTS} twice.csv", r"twice\.csv has two columns 'label'"),
    (f"{TEXTS} good.csv --fine-labels", r"--fine-labels says nothing about good\.csv"),
    (f"{TEXTS} good.csv --encoding klingon", "there is no encoding 'klingon'"),
    (f"{TEXTS} good.csv --delimiter ab", "must be one character, or tab. Received: del"),
    ("train_text_classifier --skip-unlabelled", "--skip-unlabelled needs --train"),
    ("train_text_classifier --label-separator=", "--label-separator needs --train"),
    (f"{TEXTS} list.jsonl", r"list\.jsonl.*(object|expected)"),
    (f"{TEXTS} cut.jsonl", r"cut\.jsonl, line 2"),
    (f"{TEXTS} questions.csv", r"questions\.csv has no column 'text'"),
    (f"{TEXTS} good.csv --text-column words", r"good\.csv has no column 'words'"),
    (f"{TEXTS} good.csv --test none.csv", r"none\.csv does not exist"),
    (f"{TEXTS} good.csv --validation empty.csv", r"empty\.csv is empty"),
    ("train_text_classifier --test good.csv", "--test.* need"),
    (f"{TEXTS} good.csv --lstm-units -1", "`units` must be a non-negative integer"),
    (f"{TEXTS} good.csv --members 0", "`members` must be a positive integer. Received: members=0"),
    (f"{TEXTS} good.csv --distill", "`distill` makes one network of several: give `members` of"),
    (f"{TEXTS} good.csv --output new --vectors none.vec", r"none\.vec does not exist; name"),
    (f"{TEXTS} good.csv --output new --vectors empty.csv", r"empty\.csv holds no vector; name"),
    (
        f"{TEXTS} good.csv --output new --vectors good.csv",
        r"good\.csv, row 1 has no numbers after its",
    ),
    (f"{TEXTS} good.csv --output new --vectors good.zip", r"good\.zip is a zip archive; unpack it"),
    (f"{TEXTS} good.csv --output new --vectors empty", r"empty cannot be read \(Is a dir"),
    (f"{RANKER} question_header.csv", r"question_header\.csv.*no rows"),
    (f"{RANKER} good.zip", r"good\.zip is .*(zip archive|no known format)"),
    ("train_answer_ranker --delimiter ;", "--delimiter needs --train"),
    (f"{RANKER} good.csv", r"good\.csv has no column 'question'"),
    (f"{RANKER} questions.csv --test none.csv", r"none\.csv does not exist"),
    (f"{WORDS} good.zip", r"good\.zip is a zip archive"),
    (f"{WORDS} good.txt --encoding klingon", "there is no encoding 'klingon'"),
    (f"{WORDS} good.txt --test none.txt", r"none\.txt does not exist"),
    (f"{WORDS} good.txt --sequence-length 0", "sequence_length"),
    # Pictures.
    (f"{IMAGES} cut.tar", r"cut\.tar is damaged or cut off"),
    (f"{IMAGES} cut.tar.gz", r"cut\.tar\.gz is damaged or cut off"),
    (f"{IMAGES} holds", "holds holds no readable picture"),
    (f"{IMAGES} pictures --labels empty.csv", r"empty\.csv is empty"),
    (f"{IMAGES} pictures --labels good.zip", r"good\.zip is .*(zip archive|no known format)"),
    (f"{IMAGES} pictures --labels pictures.csv --encoding klingon", "no encoding 'klingon'"),
    (f"{IMAGES} pictures --labels good.csv", r"good\.csv has no column 'file'"),
    (f"{IMAGES} pictures --labels cut.csv.gz", r"cut\.csv\.gz is a damaged gzip file"),
    (f"{IMAGES} pictures --labels pictures.csv --test-images none", "none does not exist"),
    ("read_strings reader.keras none.png", r"none\.png does not exist"),
    ("read_strings reader.keras good.csv", r"good\.csv cannot be read \(not a PNG or JPEG\)"),
    ("read_strings reader.keras empty", "empty holds no picture"),
    ("read_strings reader.keras cut.tar.gz", r"cut\.tar\.gz is damaged or cut off"),
    ("read_strings reader.keras pictures --output good.csv", r"good\.csv exists already"),
    # Nothing is executed, written elsewhere, waited for, or larger than the memory.
    (f"{TEXTS} deep.jsonl", r"deep\.jsonl: JSON nested too deep"),
    (f"{TEXTS} loop.csv", r"loop\.csv cannot be read \(Too many levels"),
    (f"{TEXTS} /dev/null", "/dev/null is empty"),
    (f"{TEXTS} /dev/zero", "/dev/zero holds more than 1,000 bytes of text; give a part of it"),
    (f"{TEXTS} long.csv.gz", r"long\.csv\.gz holds more than 1,000 bytes of text; give a part"),
    (f"{WORDS} /dev/urandom", "/dev/urandom holds more than 1,000 bytes of text; give a part"),
    (f"{IMAGES} outside.tar", r"outside\.tar holds no readable picture.*\.\./outside\.png cannot"),
    (f"{IMAGES} link.tar", r"link\.png is a link; put the picture in its place"),
    (f"{IMAGES} hard.tar", r"hard\.png is a link; put the picture in its place"),
    (f"{IMAGES} device.tar", r"device\.png is no file; put the picture in its place"),
    (f"{IMAGES} bomb", r"a\.png cannot be read \(Image size \(10000000000 pixels\) exceeds"),
    (f"{IMAGES} dangling", r"a\.png cannot be read \(No such file"),
    (f"{IMAGES} pipe", r"a\.png is no file; put the picture in its place"),
    ("read_strings reader.keras pipe/a.png", r"a\.png is no file; put the picture in its place"),
    ("read_strings reader.keras /dev/zero", "/dev/zero is no file; put the picture in its place"),
    ("search_answers /dev/zero question", "/dev/zero is not a run of an answer ranker"),
    # A model of another task, and none.
    ("read_strings text.keras pictures", r"text\.keras holds a Keras model that is not a string"),
    ("classify_text reader.keras text", r"reader\.keras holds a Keras model without vocabulary"),
    ("search_answers none question", r"none.*(does not exist|no)"),
    ("search_answers empty question", "empty"),
    # Tables of numbers.
    (f"{DIAGNOSE} header.csv", "header"),
    (f"{DIAGNOSE} list.jsonl", r"list\.jsonl"),
]

FILES = {
    "none": "does not exist",
    "empty": "is empty",
    "cut": "is a damaged gzip file",
}
READERS = {TEXTS: "csv", RANKER: "csv", DIAGNOSE: "csv", WORDS: "txt"}
IN_EVERY_PROGRAM = [
    (f"{start} {file}", rf"{file} {line}")
    for (start, ending), (name, line) in itertools.product(READERS.items(), FILES.items())
    for file in [f"{name}.{ending}{'.gz' if name == 'cut' else ''}"]
]
MODELS = {
    "none.keras": "does not exist; name",
    "no.keras": r"is not a \.keras model file; name",
    "no_model.keras": r"is not a \.keras model file; name",
    "cut.keras": "is a damaged model file; copy it again",
    "other.keras": "holds a Keras model",
    "pickle.keras": r"is not a \.keras model file; name",
    "code.keras": "cannot be loaded as a Keras model: .*Lambda",
    "outside.keras": "cannot be loaded as a Keras model",
    "flipped.keras": "is a damaged model file; copy it again",
    "empty": r"(/model\.keras does not exist|is not a \.keras model file); name",
}
PROGRAMS = {
    "classify_text": "text",
    "read_strings": "pictures",
    "diagnose_model": "--data good.npz",
}
OF_MODELS = [
    (f"{program} {file} {rest}", f"{file}.?{line}")
    for (program, rest), (file, line) in itertools.product(PROGRAMS.items(), MODELS.items())
    if (program, file) != ("diagnose_model", "other.keras")
]
GOOD = {
    "train_text_classifier": "--train good.csv",
    "train_answer_ranker": "--train questions.csv --candidates 5",
    "train_next_word": "--train good.txt",
    "train_string_reader": "--images pictures --labels pictures.csv",
}
OF_TRAININGS = [
    (f"{program} {good} {option}", line)
    for program, good in GOOD.items()
    for option, line in (
        ("--output holds", r"holds already holds a run \(notes\.txt\); name a new one"),
        ("--output good.csv", r"good\.csv cannot be written"),
        ("--epochs 0", "`epochs` must be a positive integer"),
        ("--batch-size -1", "`batch_size` must be a positive integer"),
        ("--seed -1", "`seed` must be an integer from 0"),
    )
]
CASES = [*ONE_PROGRAM, *IN_EVERY_PROGRAM, *OF_MODELS, *OF_TRAININGS]


@pytest.mark.parametrize(("command", "line"), CASES, ids=[command for command, _ in CASES])
def test_bad_input_is_one_line_and_loses_nothing(folder, monkeypatch, command, line):
    monkeypatch.chdir(folder)
    if "/dev/" in command or "long" in command:
        monkeypatch.setattr(table_files, "MOST_BYTES", 1_000)
    before = {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}
    program, *arguments = command.split()
    script = importlib.import_module(f"examples.{program}")
    with pytest.raises(UserError, match=line) as raised:
        script.main(script.parse(arguments))
    assert "\n" not in str(raised.value)
    assert before == {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}
