"""The losses from their definitions, one position at a time, in decimals of 60 digits.

Independent of the package: loops over classes, no logarithm of a sum, no shift, no clever form.
Inputs count as the exact binary numbers that they are. The gradient is a central difference.
"""

import decimal
from decimal import Decimal

decimal.getcontext().prec = 60
STEP = Decimal("1e-20")
SMALLEST = Decimal("1e-30")


def exact(value):
    return Decimal(float(value))


def softmax(logits):
    """Probabilities of exact logits, -inf allowed."""
    powers = [z.exp() if z.is_finite() else Decimal(0) for z in logits]
    return [power / sum(powers) for power in powers]


def distribution(row, from_logits):
    if from_logits:
        return softmax(row)
    clamped = [max(p, SMALLEST) for p in row]
    return [p / sum(clamped) for p in clamped]


def nats(p):
    return -p.ln() if p > 0 else Decimal("inf")


def label_row(label, num_classes):
    if isinstance(label, (list, tuple)):
        return [exact(item) for item in label]
    return [Decimal(int(index == label)) for index in range(num_classes)]


def per_class(weights, num_classes):
    if weights is None:
        return [Decimal(1)] * num_classes
    if isinstance(weights, dict):
        weights = [weights.get(index, 1.0) for index in range(num_classes)]
    return [exact(weight) for weight in weights]


def label_smoothed_crossentropy(
    label, row, label_smoothing=0.1, from_logits=False, prior=None, class_weight=None
):
    num_classes, e = len(row), exact(label_smoothing)
    u = per_class(prior, num_classes)
    u = [item / sum(u) for item in u]
    q = [(1 - e) * y + e * u_c for y, u_c in zip(label_row(label, num_classes), u, strict=True)]
    w = per_class(class_weight, num_classes)
    p = distribution(row, from_logits)
    return sum(w_c * q_c * nats(p_c) for w_c, q_c, p_c in zip(w, q, p, strict=True) if w_c * q_c)


def weighted_sigmoid_crossentropy(
    label, row, pos_weight=1.0, from_logits=False, label_smoothing=0.0, ignore_label=None
):
    w = pos_weight if isinstance(pos_weight, list) else [pos_weight] * len(row)
    e, total, count = exact(label_smoothing), Decimal(0), 0
    for y, x, w_c in zip(label, row, w, strict=True):
        if ignore_label is not None and y == ignore_label:
            continue
        y = exact(y) * (1 - e) + e / 2
        if from_logits:
            p = 1 / (1 + (-x).exp())
            q = 1 / (1 + x.exp())
        else:
            p, q = max(x, SMALLEST), max(1 - x, SMALLEST)
        total += exact(w_c) * y * nats(p) if y else 0
        total += (1 - y) * nats(q) if y != 1 else 0
        count += 1
    return total / max(count, 1)


def margin_ranking(label, row, margin=0.1):
    relevance = label_row(label, len(row))
    hinges = [
        max(Decimal(0), exact(margin) - (s_i - s_j))
        for r_i, s_i in zip(relevance, row, strict=True)
        for r_j, s_j in zip(relevance, row, strict=True)
        if r_i > r_j
    ]
    return sum(hinges) / max(len(hinges), 1)


def value(loss, label, row, **arguments):
    """The loss of one position as a float."""
    return float(loss(label, [exact(item) for item in row], **arguments))


def slope(loss, label, row, **arguments):
    """Its gradient with respect to the row, as floats."""
    row = [exact(item) for item in row]
    gradient = []
    for index in range(len(row)):
        step = STEP * (abs(row[index]) if abs(row[index]) > Decimal("1e-33") else 1)
        ends = []
        for sign in (1, -1):
            moved = list(row)
            moved[index] += sign * step
            ends.append(loss(label, moved, **arguments))
        gradient.append(float((ends[0] - ends[1]) / (2 * step)))
    return gradient
