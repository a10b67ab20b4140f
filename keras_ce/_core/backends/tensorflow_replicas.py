"""Sums over the replicas of `tf.distribute`, each of which sees a part of the batch.

`tf.distribute`'s own all-reduce hands over from one replica to the next in the middle of a step.
The replicas share the layers of the model, and with them the list in which Keras keeps what layers
add to the loss: the second replica would empty the list of the first, or find its losses in it.
Here each replica writes down an operation that waits for that of the others, and goes on.
"""

import itertools
import weakref
from typing import Any

import tensorflow as tf

Tensor = Any

_groups: dict[tuple[str, ...], int] = {}
"""The number of each set of devices. TensorFlow itself counts from 1."""
_FIRST_GROUP = 2**24

_numbers = itertools.count(2**24)
_numbers_of_graphs: weakref.WeakKeyDictionary[Any, tuple[Any, ...]] = weakref.WeakKeyDictionary()


def number_of_replicas() -> int:
    """How many replicas of this call see a part of the batch each."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else int(context.num_replicas_in_sync)


def replica_sum(values: Tensor) -> Tensor:
    """The sum of values of one shape over all replicas, without derivative."""
    if number_of_replicas() == 1:
        return values
    return _sum(values)


def replica_mean(value: Tensor) -> Tensor:
    """The mean of a scalar over all replicas, with the derivative of this replica's alone.

    Keras adds up the gradients of the replicas, and logs the mean of their losses.
    """
    number = number_of_replicas()
    if number == 1:
        return value

    @tf.custom_gradient
    def mean(value: Tensor) -> Any:
        return _sum(value) / number, lambda upstream: upstream

    return mean(value)


def rows_of_all_replicas(*groups: Tensor) -> tuple[list[Tensor], Tensor]:
    """Rows (N, ...) of each replica, which may differ in number, as rows of all of them (M, ...).

    And the numbers (N,) that the rows of this replica have among them. The gradient of a row is
    the sum of those that the replicas have for it.
    """
    replicas, number = number_of_replicas(), tf.shape(groups[0])[0]
    if replicas == 1:
        return list(groups), tf.range(number)
    own = _number_of_this_replica()
    numbers = _sum(tf.one_hot(own, replicas, on_value=number, off_value=0))
    first, total = tf.reduce_sum(numbers[:own]), tf.reduce_sum(numbers)

    @tf.custom_gradient
    def of_all(rows: Tensor) -> Any:
        around = [[first, total - number - first], *([[0, 0]] * (len(rows.shape) - 1))]

        def derivative(upstream: Tensor) -> Tensor:
            return _sum(upstream)[first : first + number]

        return _sum(tf.pad(rows, around)), derivative

    return [of_all(rows) for rows in groups], first + tf.range(number)


def _number_of_this_replica() -> int:
    context = tf.distribute.get_replica_context()
    return int(tf.get_static_value(context.replica_id_in_sync_group))


def _sum(values: Tensor) -> Tensor:
    strategy = tf.distribute.get_strategy()
    number = strategy.num_replicas_in_sync
    if not isinstance(strategy, tf.distribute.MirroredStrategy):
        raise ValueError(
            "Losses add up over the replicas of `tf.distribute.MirroredStrategy` alone. Received: "
            f"{number} replicas of {type(strategy).__name__}. Take that one on one machine, and a "
            "`keras.distribution` on JAX on several."
        )
    if tf.executing_eagerly():
        raise ValueError(
            f"Losses of several replicas add up in compiled code only. Received: {number} replicas "
            "in eager execution. Compile the model without `run_eagerly=True`, or call "
            "`strategy.run` inside of a `tf.function`."
        )
    devices = strategy.extended.worker_devices
    return tf.stop_gradient(
        # Not the newer CollectiveReduceV2, which `tf.function` lets run one after the other.
        tf.raw_ops.CollectiveReduce(
            input=values,
            group_size=number,
            group_key=_groups.setdefault(devices, _FIRST_GROUP + len(_groups)),
            instance_key=_number_of_this_call(number),
            merge_op="Add",
            final_op="Id",
            subdiv_offsets=[0],
            communication_hint="ring",  # NCCL wants one order on all devices.
        )
    )


def _number_of_this_call(replicas: int) -> int:
    """The same number for the call that each replica makes at the same place of a step."""
    # Replicas write down their operations one after the other, into the same graph.
    graph = tf.compat.v1.get_default_graph()
    while getattr(graph, "outer_graph", None) is not None and graph.outer_graph.building_function:
        graph = graph.outer_graph
    numbers = _numbers_of_graphs.setdefault(graph, itertools.tee(_numbers, replicas))
    return next(numbers[_number_of_this_replica()])
