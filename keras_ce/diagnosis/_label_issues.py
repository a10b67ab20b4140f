"""Which labels are probably wrong: confident learning, from probabilities out of fold."""

from typing import Any

import numpy as np

from keras_ce._core.checks import InvalidValuesError

Array = np.ndarray[Any, Any]
_ROUNDING = 1e-6  # of a probability against the threshold of its class


def find_label_issues(labels: Any, probabilities: Any, *, rank_all: bool = False) -> Array:
    """The rows whose labels are probably wrong, the most suspicious first.

    Confident learning (Northcutt et al. 2021, "Confident Learning: Estimating Uncertainty in
    Dataset Labels"), pruned by noise rate. The threshold of a class is the mean probability that
    its own rows give it. Rows are counted by label and by the most probable class that reaches its
    threshold, and the counts are scaled to those of the labels: of each label and each other class
    as many rows are taken as stand there, those with the largest difference of the two
    probabilities. A row whose label is the most probable class is never one of them. Rows are
    ranked by the probability of their label, the least first.

    Args:
        labels: class ids (rows,).
        probabilities: (rows, classes), of a model that has not seen the row: out of fold, as
            `sklearn.model_selection.cross_val_predict(..., method="predict_proba")` gives them.
            A model that was trained on a label repeats it.
        rank_all: whether all rows are returned, in the same order, issues or not.

    Returns:
        Indices of rows (issues,), or (rows,) with `rank_all`.

    Raises:
        InvalidValuesError: a label is no class id, or a row of `probabilities` no distribution.

    Example:
        >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9], [0.95, 0.05]])
        >>> keras_ce.find_label_issues([0, 0, 1, 1, 1], probabilities)
        array([4])
    """
    rows = _checked_probabilities(probabilities)
    ids = _checked_labels(labels, rows)
    of_label = rows[np.arange(len(ids)), ids]
    is_issue = _are_pruned(ids, rows) & (rows.argmax(1) != ids)
    order = np.argsort(of_label, kind="stable")
    return order if rank_all else order[is_issue[order]]


def _are_pruned(ids: Array, rows: Array) -> Array:
    """Which rows are among as many of their label as the joint counts say are of another class."""
    joint = _confident_joint(ids, rows)
    pruned = np.zeros(len(ids), bool)
    for label in range(len(joint)):
        (of_label,) = np.nonzero(ids == label)
        if len(of_label) <= 1:
            continue  # a class keeps its last row
        for other in np.flatnonzero(joint[label]):
            number = joint[label, other]
            if other == label:
                continue
            differences = rows[of_label, other] - rows[of_label, label]
            threshold = np.partition(differences, -number)[-number]
            pruned[of_label[differences >= threshold]] = True
    return pruned


def _confident_joint(ids: Array, rows: Array) -> Array:
    """How many rows have which label and which class, from 0 to (labels), (classes, classes)."""
    number = rows.shape[1]
    counts = np.bincount(ids, minlength=number)
    sums = np.bincount(ids, rows[np.arange(len(ids)), ids], minlength=number)
    # A class without rows is never reached.
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    reached = rows >= thresholds - _ROUNDING
    is_sure = reached.any(1)
    several = reached.sum(1) > 1
    # Among several that are reached: the most probable class, reached or not.
    guess = np.where(several, rows.argmax(1), reached.argmax(1))
    joint = np.zeros((number, number))
    np.add.at(joint, (ids[is_sure], guess[is_sure]), 1)
    np.fill_diagonal(joint, np.maximum(joint.diagonal(), 1))
    joint = joint / joint.sum(1, keepdims=True) * counts[:, None]
    return _rounded(joint, counts)


def _rounded(joint: Array, counts: Array) -> Array:
    """Whole numbers with the same sums of rows: the largest fractions are rounded up."""
    whole = np.floor(joint + 1e-9).astype(int)
    for row, exact, count in zip(whole, joint, counts, strict=True):
        missing = int(count) - int(row.sum())
        if missing > 0:
            row[np.argsort(-(exact - row), kind="stable")[:missing]] += 1
    return whole


def _checked_probabilities(given: Any) -> Array:
    rows = np.asarray(given, "float64")
    if rows.ndim != 2 or rows.shape[1] < 2 or not len(rows):
        raise InvalidValuesError(
            "probabilities",
            rows.shape,
            "an array (rows, classes) of at least one row and two classes",
            fix="For one probability of yes give np.stack([1 - p, p], axis=1).",
        )
    is_bad = ~((rows >= -1e-6) & (rows <= 1 + 1e-6))
    if is_bad.any():
        place = tuple(int(index) for index in np.argwhere(is_bad)[0])
        raise InvalidValuesError(
            "probabilities",
            float(rows[place]),
            "numbers from 0 to 1",
            place,
            "Of logits take keras.ops.softmax.",
        )
    sums = rows.sum(1)
    wrong = np.abs(sums - 1) > 1e-3
    if wrong.any():
        row = int(wrong.argmax())
        raise InvalidValuesError(
            "probabilities",
            float(sums[row]),
            "rows that sum to 1",
            (row,),
            "Labels of which a row may have several are judged one by one: give "
            "np.stack([1 - p, p], axis=1) of each class.",
        )
    return rows


def _checked_labels(given: Any, rows: Array) -> Array:
    labels = np.asarray(given)
    if labels.shape == (len(rows), 1):
        labels = labels[:, 0]
    if labels.shape != (len(rows),) or labels.dtype.kind not in "biuf":
        raise InvalidValuesError(
            "labels",
            labels.shape if labels.dtype.kind in "biuf" else labels.reshape(-1)[:1].tolist(),
            f"class ids of shape ({len(rows)},), one for each row of `probabilities`",
            fix="Of names take np.unique(names, return_inverse=True)[1]; of one-hot rows "
            "np.argmax(labels, axis=1).",
        )
    is_bad = ~((labels >= 0) & (labels < rows.shape[1]) & (labels == np.floor(labels)))
    if is_bad.any():
        row = int(is_bad.argmax())
        raise InvalidValuesError(
            "labels",
            labels[row].item(),
            f"an integer from 0 to {rows.shape[1] - 1}",
            (row,),
            "Leave out rows without a label, from `probabilities` too.",
        )
    return labels.astype(int)
