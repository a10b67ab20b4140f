"""The time of value and gradient of losses of embeddings and of a teacher, against a peer.

    KERAS_BACKEND=torch python -m benchmarks.embedding_losses

Of embeddings the peer is pytorch-metric-learning (the extra `peers`) on torch; on JAX and
TensorFlow a plain implementation, compiled by XLA: |a|^2 + |b|^2 - 2ab, and all triplets (B, B, B)
at once. They take gigabytes from 512 rows on: `--most-triplets` says where the peer is left out.
Of a teacher's logits it is the divergence of two `log_softmax`, torch's `kl_div` there, which
cancels where both nearly agree. Ours and the peer take turns; the table has the medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_ce.losses import DistillationCrossentropy, SupervisedContrastive, TripletMargin

FEATURES, LABELS_OF, MARGIN, TEMPERATURE, OF_TEACHER = 128, 8, 0.2, 0.1, 2.0
LOSSES = {
    "contrastive": SupervisedContrastive(TEMPERATURE),
    "hard": TripletMargin(MARGIN, "hard"),
    "semi-hard": TripletMargin(MARGIN, "semi-hard"),
    "all": TripletMargin(MARGIN, "all"),
    "distillation": DistillationCrossentropy(OF_TEACHER),
}
BACKEND = keras.backend.backend()
Step = Callable[[], Any]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--losses", nargs="+", choices=list(LOSSES), default=list(LOSSES))
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 128, 256, 512, 1024])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--most-triplets", type=int, default=256, metavar="ROWS")
    options = parser.parse_args()
    print(f"keras {keras.__version__}, {BACKEND}, {FEATURES} numbers a row, {LABELS_OF} a label\n")
    print("| loss | batch | ms | peer, ms | ratio |\n|---|---|---|---|---|")
    for name in options.losses:
        for batch in options.batches:
            generator = np.random.default_rng(batch)
            rows = generator.normal(size=(batch, FEATURES)).astype("float32")
            labels = (np.arange(batch) // LABELS_OF).astype("int32")
            if name == "distillation":
                labels = generator.normal(size=rows.shape).astype("float32")
            steps = [gradient_step(LOSSES[name], rows, labels)]
            if name not in ("semi-hard", "all") or batch <= options.most_triplets:
                steps.append(gradient_step(peer(name), rows, labels))
            times = in_turn(steps, options.rounds)
            theirs = f"{times[1]:.2f} | {times[0] / times[1]:.2f}" if times[1:] else "- | -"
            print(f"| {name} | {batch} | {times[0]:.2f} | {theirs} |", flush=True)


def in_turn(steps: list[Step], rounds: int) -> list[float]:
    """The median milliseconds of each step."""
    times: list[list[float]] = [[] for _ in steps]
    for number in range(rounds + 3):
        for step, found in zip(steps, times, strict=True):
            start = time.perf_counter()
            step()
            if number >= 3:  # the first ones compile
                found.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(found) for found in times]


def gradient_step(loss: Callable[..., Any], rows: Any, labels: Any) -> Step:
    """A call that computes a loss and its gradient."""
    labels = keras.ops.convert_to_tensor(labels)
    tensor = keras.ops.convert_to_tensor(rows)
    if BACKEND == "torch":

        def on_torch() -> Any:
            embeddings = tensor.clone().requires_grad_()
            loss(labels, embeddings).backward()
            return embeddings.grad

        return on_torch
    if BACKEND == "jax":
        import jax

        # The labels are arguments: of constants XLA computes what it can when it compiles.
        run = jax.jit(jax.value_and_grad(lambda embeddings, ids: loss(ids, embeddings)))
        return lambda: jax.block_until_ready(run(tensor, labels))
    import tensorflow as tf

    @tf.function(jit_compile=True)
    def on_tensorflow(embeddings: Any, ids: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(embeddings)
            value = loss(ids, embeddings)
        return value, tape.gradient(value, embeddings)

    return lambda: on_tensorflow(tensor, labels)[0].numpy()


def peer(name: str) -> Callable[..., Any]:
    """What others offer on this backend."""
    if BACKEND != "torch":
        return lambda labels, rows: plain(name, labels, rows)
    if name == "distillation":
        from torch.nn import functional

        def divergence(teacher: Any, student: Any) -> Any:
            logs = (functional.log_softmax(each / OF_TEACHER, -1) for each in (student, teacher))
            return OF_TEACHER**2 * functional.kl_div(*logs, reduction="batchmean", log_target=True)

        return divergence
    from pytorch_metric_learning import distances, losses, miners

    if name == "contrastive":
        contrast = losses.SupConLoss(TEMPERATURE)
        return lambda ids, rows: contrast(rows, ids)
    distance = distances.LpDistance(normalize_embeddings=False)
    triplet = losses.TripletMarginLoss(MARGIN, distance=distance)
    miner = {
        "all": lambda rows, ids: None,
        "semi-hard": miners.TripletMarginMiner(MARGIN, "semihard", distance=distance),
        "hard": miners.BatchHardMiner(distance=distance),
    }[name]
    return lambda ids, rows: triplet(rows, ids, miner(rows, ids))


def plain(name: str, ids: Any, rows: Any) -> Any:
    """The losses as a tutorial writes them; for "distillation" `ids` are the teacher's logits."""
    ops = keras.ops
    if name == "distillation":
        log_p, log_q = (ops.log_softmax(each / OF_TEACHER) for each in (ids, rows))
        return OF_TEACHER**2 * ops.mean(ops.sum(ops.exp(log_p) * (log_p - log_q), -1))
    is_same = ops.equal(ids[:, None], ids[None, :])
    others = 1 - ops.eye(len(ids))
    positives = ops.cast(is_same, "float32") * others
    if name == "contrastive":
        rows = ops.normalize(rows, axis=-1)
        logits = ops.matmul(rows, ops.transpose(rows)) / TEMPERATURE
        total = ops.logsumexp(logits - 1e9 * (1 - others), -1, keepdims=True)
        return ops.mean(ops.sum(positives * (total - logits), -1) / ops.sum(positives, -1))
    squares = ops.sum(rows * rows, -1)
    squares = squares[:, None] + squares[None, :] - 2 * ops.matmul(rows, ops.transpose(rows))
    d = ops.sqrt(ops.maximum(squares, 1e-12))
    if name == "hard":
        farthest = ops.max(ops.where(positives > 0, d, 0.0), -1)
        return ops.mean(ops.relu(farthest - ops.min(ops.where(is_same, 1e9, d), -1) + MARGIN))
    negatives = ops.cast(ops.logical_not(is_same), "float32")
    if name == "semi-hard":
        to_negatives = ops.where(is_same, 1e9, d)[:, None, :]
        nearest = ops.min(ops.where(to_negatives > d[:, :, None], to_negatives, 1e9), -1)
        farthest = ops.max(ops.where(is_same, 0.0, d), -1)[:, None]
        hinges = ops.relu(d - ops.where(nearest < 1e9, nearest, farthest) + MARGIN)
        return ops.mean(ops.sum(positives * hinges, -1) / ops.sum(positives, -1))
    is_triplet = positives[:, :, None] * negatives[:, None, :]
    hinges = is_triplet * ops.relu(d[:, :, None] - d[:, None, :] + MARGIN)
    return ops.mean(ops.sum(hinges, (1, 2)) / ops.sum(is_triplet, (1, 2)))


if __name__ == "__main__":
    main()
