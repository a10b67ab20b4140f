"""Files with random damage, read by every reader: either they are read, or one line says why not.

    python -m benchmarks.mutated_files --files 10000

Starts from good files (tables, lines, archives, pictures, word vectors, models, an index), flips,
cuts, doubles, inserts and moves bytes, also inside what is packed, and reads. Prints how many of
each kind were read and how many refused; anything else is an error of the reader, and ends the
program with the seed of the file that raised it.
"""

import argparse
import contextlib
import gzip
import io
import os
import pathlib
import sys
import tarfile
import tempfile
import traceback
import zipfile
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from recipes.answer_ranker import AnswerRanker
from recipes.answer_ranker.index import AnswerIndex
from recipes.answer_ranker.question_files import read_questions
from recipes.images.labelled_images import read_labelled_images
from recipes.next_word.data import read_texts
from recipes.runs.failures import UserError
from recipes.tables.labelled_texts import read_labelled_texts
from recipes.tables.model_data import read_data
from recipes.text_classifier import TextClassifier
from recipes.tokens.vector_files import read_vectors

# What readers look at: what is inserted is one of these, or any byte.
TELLING = (b'"', b",", b"\t", b"\n", b"\r", b"\0", b"{", b"]", b"\xff", b"\xef\xbb\xbf", b"\\u")


def main() -> None:
    """Read, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutated_files")
    parser.add_argument("--files", type=int, default=1000, help="of all kinds, %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the first, %(default)s")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        kinds = {**good_files(), **good_models()}
        counts = {kind: [0, 0] for kind in kinds}
        for kind, (content, read) in kinds.items():
            if not try_to_read(folder / kind, content, read, -1):
                sys.exit(f"{kind} cannot be read without any damage")
        for seed in range(options.seed, options.seed + options.files):
            kind = list(kinds)[seed % len(kinds)]
            content, read = kinds[kind]
            content = mutated(content, kind, seed)
            counts[kind][try_to_read(folder / kind, content, read, seed)] += 1
    print("| file | read | refused |\n|---|---|---|")
    for kind, (refused, read_ones) in counts.items():
        print(f"| {kind} | {read_ones} | {refused} |")
    print(f"\n{options.files} files, no traceback")


def good_files() -> dict[str, tuple[bytes, Callable[[pathlib.Path], object]]]:
    """For each name of a file what stands in it, and who reads it."""
    rows = [f'"word{n % 7}, and ""word{n % 5}""",{"ab"[n % 2]}' for n in range(20)]
    table = "\n".join(["text,label", *rows, "été,a", ""]).encode()
    rows = [f"q{n // 2}\ta{n}\t{n % 2}" for n in range(20)]
    pairs = "\n".join(["question\tanswer\tlabel", *rows])
    objects = [f'{{"text": "a {n} \\u00e9", "label": ["x", "y"]}}' for n in range(10)]
    lines = "\n".join(objects).encode()
    vectors = "3 2\n" + "\n".join(f"word{n} {n / 7:.4f} -1e-3" for n in range(3)) + "\n"
    numbers = "\n".join(["a,b,label", *[f"{n},{n / 3:.3f},{n % 2}" for n in range(10)]]).encode()

    return {
        "table.csv": (table, read_labelled_texts),
        "table.tsv": (table.replace(b",", b"\t"), read_labelled_texts),
        "table.csv.gz": (gzip.compress(table, mtime=0), read_labelled_texts),
        "lines.jsonl": (lines, read_labelled_texts),
        "lines.label": (b"HUM:ind Who was he ?\nNUM:date When was it ?\n" * 5, read_labelled_texts),
        "pairs.tsv": (pairs.encode(), read_questions),
        "words.txt": (("one two three\n\nfour — five\n" * 5).encode(), read_words),
        "utf16.txt": (("one two three\nfour five\n" * 5).encode("utf-16"), read_words),
        "vectors.vec": (vectors.encode(), read_some_vectors),
        "numbers.csv": (numbers, read_numbers),
        "numbers.npz": (archive_of_numbers(), read_numbers),
        "pictures.tar": (archive_of_pictures(), read_labelled_images),
    }


def good_models() -> dict[str, tuple[bytes, Callable[[pathlib.Path], object]]]:
    """Likewise, of models and an index."""
    texts = [f"word{n % 7} of word{n % 5}" for n in range(60)]
    classes = [text[4] for text in texts]
    classifier = TextClassifier(epochs=1, embedding_dim=2, units=2, ngrams=0, verbose=0)
    classifier.fit(texts, classes)
    ranker = AnswerRanker(epochs=1, embedding_dim=2, verbose=0).fit(texts, classes)
    return {
        "classifier.keras": (saved(classifier), TextClassifier.load),
        "ranker.keras": (saved(ranker), AnswerRanker.load),
        "answers.index": (saved(ranker.index(texts)), ranker.load_index),
    }


def read_some_vectors(path: pathlib.Path) -> object:
    """The vectors of a vocabulary of one word."""
    return read_vectors(path, ["", "", "word1"], "words")


def read_numbers(path: pathlib.Path) -> object:
    """Inputs and labels."""
    return read_data(path, ["label"])


def read_words(path: pathlib.Path) -> object:
    """Texts to learn from, for all three parts."""
    return read_texts(str(path), str(path), str(path))


def archive_of_numbers() -> bytes:
    """An .npz file of inputs and labels."""
    file = io.BytesIO()
    np.savez_compressed(file, x=np.arange(12.0).reshape(4, 3), y=np.arange(4))
    return file.getvalue()


def archive_of_pictures() -> bytes:
    """A tar archive of PNG and JPEG files, named after their texts."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for number, kind in enumerate(["PNG", "JPEG", "PNG", "PNG"]):
            picture = io.BytesIO()
            gradient = np.arange(200, dtype="uint8").reshape(10, 20) + number
            Image.fromarray(gradient).save(picture, kind)
            ending = {"PNG": "png", "JPEG": "jpg"}[kind]
            member = tarfile.TarInfo(f"a{number}.{ending}")
            member.size = len(picture.getvalue())
            archive.addfile(member, io.BytesIO(picture.getvalue()))
    return file.getvalue()


def saved(task: TextClassifier | AnswerRanker | AnswerIndex) -> bytes:
    """The file of a fitted task, or of an index."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        task.save(path)
        return path.read_bytes()


def mutated(content: bytes, kind: str, seed: int) -> bytes:
    """The content with one to four kinds of damage; of a zip archive also inside its members."""
    random = np.random.default_rng(seed)
    if kind.endswith(".gz") and random.random() < 0.5:
        return gzip.compress(damaged(gzip.decompress(content), random), mtime=0)
    if zipfile.is_zipfile(io.BytesIO(content)) and random.random() < 0.7:
        file = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
            chosen = random.integers(len(old.namelist()))
            for number, name in enumerate(old.namelist()):
                inside = old.read(name)
                new.writestr(name, damaged(inside, random) if number == chosen else inside)
        return file.getvalue()
    return damaged(content, random)


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """One to four random changes."""
    for _ in range(random.integers(1, 5)):
        start, end = sorted(random.integers(0, len(content) + 1, 2))
        end = min(end, start + random.choice([1, 8, 200]))
        piece = content[start:end]
        changes = [
            content[:start] + content[end:],
            content[:start],
            content[:end] + piece + content[end:],
            content[:start] + bytes(random.permutation(list(piece)).tolist()) + content[end:],
            content[:start] + random.bytes(end - start) + content[end:],
            content[:start] + TELLING[random.integers(len(TELLING))] + content[start:],
        ]
        content = changes[random.integers(len(changes))]
    return content


def try_to_read(
    path: pathlib.Path, content: bytes, read: Callable[[pathlib.Path], object], seed: int
) -> bool:
    """Whether a file is read; it may be refused, in one line."""
    path.write_bytes(content)
    try:
        with silence():
            read(path)
    except UserError as error:
        if "\n" in str(error):
            sys.exit(f"seed {seed}, {path.name}: several lines: {error}")
        return False
    except Exception:
        traceback.print_exc()
        sys.exit(f"seed {seed}, {path.name}: a traceback")
    return True


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """What readers say of encodings is not looked at."""
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stderr(nowhere),
        contextlib.redirect_stdout(nowhere),
    ):
        yield


if __name__ == "__main__":
    main()
