"""Time, memory and latency of a search over many encoded answers.

    python -m benchmarks.search_at_size
    python -m benchmarks.search_at_size --answers 1000000 --dimensions 301

Random unit vectors stand for the answers, as `examples.search_answers` would index them. A question
is one of them with noise added; "found" says how often its answer is the first one found. Random
vectors are the hardest case for an index that looks at a part of its groups: real texts lie closer
together.
"""

import argparse
import pathlib
import statistics
import tempfile
import time
from collections.abc import Iterator

import faiss
import numpy as np

from recipes.answer_ranker import index as answer_index

QUESTIONS = 200
NOISE = 0.5


def unit_vectors(count: int, dimensions: int, seed: int) -> np.ndarray:
    """Random directions."""
    vectors = np.random.default_rng(seed).standard_normal((count, dimensions), dtype="float32")
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main() -> None:
    """Prints one row of a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search_at_size")
    parser.add_argument("--answers", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=301)
    options = parser.parse_args()
    wanted = np.random.default_rng(1).integers(0, options.answers, QUESTIONS)
    questions = np.empty((QUESTIONS, options.dimensions), dtype="float32")

    def chunks() -> Iterator[np.ndarray]:
        for number, rows in enumerate(answer_index.chunks_of(options.answers)):
            vectors = unit_vectors(len(rows), options.dimensions, number)
            is_here = (wanted >= rows.start) & (wanted < rows.stop)
            questions[is_here] = vectors[wanted[is_here] - rows.start]
            yield vectors

    start = time.perf_counter()
    index = answer_index.build_vectors(chunks(), options.answers)
    seconds = time.perf_counter() - start
    noise = unit_vectors(QUESTIONS, options.dimensions, options.answers)
    questions += NOISE * noise
    questions /= np.linalg.norm(questions, axis=1, keepdims=True)

    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "index.faiss"
        faiss.write_index(index, str(file))
        size = file.stat().st_size
        start = time.perf_counter()
        index = faiss.read_index(str(file))
        loading = time.perf_counter() - start
    index.search(questions[:1], 10)
    found, milliseconds = 0, []
    for question, answer in zip(questions, wanted, strict=True):
        start = time.perf_counter()
        _, rows = index.search(question[None], 10)
        milliseconds.append(1000 * (time.perf_counter() - start))
        found += rows[0, 0] == answer
    kind = type(faiss.downcast_index(index)).__name__
    latency = statistics.median(milliseconds)
    print(
        "| answers | dimensions | index | build | index size | load | one query, median | found |"
    )
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {options.answers:,} | {options.dimensions} | {kind} | {seconds:.0f} s "
        f"| {size / 1e6:.0f} MB | {loading:.1f} s | {latency:.1f} ms "
        f"| {100 * found / QUESTIONS:.0f} % |"
    )


if __name__ == "__main__":
    main()
