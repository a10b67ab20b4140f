"""Sums over replicas where there is one: on JAX and torch.

On JAX an array is one over all devices, and so is a sum. On torch Keras knows of no replicas.
`tensorflow_replicas` has the same functions for the replicas of `tf.distribute`.
"""

from typing import Any

from keras import ops

Tensor = Any


def number_of_replicas() -> int:
    """1."""
    return 1


def replica_sum(values: Tensor) -> Tensor:
    """The values themselves."""
    return values


def replica_mean(value: Tensor) -> Tensor:
    """The value itself."""
    return value


def rows_of_all_replicas(*groups: Tensor) -> tuple[list[Tensor], Tensor]:
    """The rows themselves, and the number of each."""
    return list(groups), ops.arange(ops.shape(groups[0])[0], dtype="int32")
