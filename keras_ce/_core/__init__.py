"""What every public part of keras_ce stands on; nothing outside keras_ce imports it.

- `checks`: the arguments of losses, layers and metrics, and the one error of the package.
- `labels`: what users give, made into one record: predictions, labels, what is valid and counts.
- `softmax`, `sigmoid`, `linear`: the numbers, as functions of prepared tensors.
- `reduction`: the base class of the losses: masks, sample weights, replicas, the mean.
- `backends`: one file for each backend, with the same verbs.
"""
