"""Updates of a metric, eager or compiled."""

import backends


def step(metric, mode):
    """`metric.update_state` in a mode."""
    if mode == "eager":
        return metric.update_state
    if backends.BACKEND == "jax":
        import jax

        update = jax.jit(metric.stateless_update_state)

        def run(*batch):
            values = update([variable.value for variable in metric.variables], *batch)
            for variable, value in zip(metric.variables, values, strict=True):
                variable.assign(value)

        return run
    import tensorflow as tf

    return tf.function(metric.update_state, jit_compile=mode == "xla")
