"""Tiny pictures of strings of x, y and z, drawn for tests."""

import csv
import io
import pathlib
import tarfile

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 10, 16
_ROWS_WITH_INK = {"x": slice(1, 4), "y": slice(6, 9), "z": slice(1, 9)}


def picture(text, random=None, width=WIDTH):
    """Dark bars on white: high, low or full for x, y and z."""
    pixels = np.full((HEIGHT, width), 230.0)
    for position, character in enumerate(text):
        pixels[_ROWS_WITH_INK[character], 8 * position + 2 : 8 * position + 6] = 30
    if random is not None:
        pixels += random.normal(0, 10, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype("uint8"))


def strings(count, seed=0):
    """File names, texts and pictures."""
    random = np.random.default_rng(seed)
    for number in range(count):
        text = "".join(random.choice(list("xyz"), 2))
        yield f"{number:03}.png", text, picture(text, random)


def write_folder(folder, count=120, seed=0):
    """Writes pictures into `folder` and their texts into the `labels.csv` beside it."""
    folder.mkdir()
    rows = []
    for name, text, image in strings(count, seed):
        image.save(folder / name)
        rows.append((name, text))
    return folder, write_labels(folder.parent / f"{folder.name}.csv", rows)


def write_labels(path, rows, header=("file", "text")):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_tar(path, images):
    """Writes pictures, by name, into a tar archive."""
    with tarfile.open(path, "w") as archive:
        for name, image in images.items():
            content = io.BytesIO()
            image.save(content, format=pathlib.PurePosixPath(name).suffix[1:])
            member = tarfile.TarInfo(name)
            member.size = len(content.getvalue())
            content.seek(0)
            archive.addfile(member, content)
    return path
