"""The losses from their definitions, one position at a time, in decimals of 60 digits.

Independent of the package: loops over classes, no logarithm of a sum, no shift, no clever form.
Inputs count as the exact binary numbers that they are. The gradient is a central difference.
"""

import decimal
import functools
import itertools
from decimal import Decimal

DIGITS = 60
STEP = Decimal("1e-20")
SMALLEST = Decimal("1e-30")


def exact(value):
    return Decimal(float(value))


# A difference moves one entry of a row: most is asked for again and again. All in DIGITS.
exp = functools.lru_cache(maxsize=1000)(Decimal.exp)
ln = functools.lru_cache(maxsize=1000)(Decimal.ln)


def softmax(logits):
    """Probabilities of exact logits, -inf allowed."""
    powers = [exp(z) if z.is_finite() else Decimal(0) for z in logits]
    return [power / sum(powers) for power in powers]


def distribution(row, from_logits):
    if from_logits:
        return softmax(row)
    clamped = [max(p, SMALLEST) for p in row]
    return [p / sum(clamped) for p in clamped]


def nats(p):
    return -ln(p) if p > 0 else Decimal("inf")


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
            p = 1 / (1 + exp(-x))
            q = 1 / (1 + exp(x))
        else:
            p, q = max(x, SMALLEST), max(1 - x, SMALLEST)
        total += exact(w_c) * y * nats(p) if y else 0
        total += (1 - y) * nats(q) if y != 1 else 0
        count += 1
    return total / max(count, 1)


def margin_ranking(label, row, margin=0.1, weighting=None, ranked_by=None):
    relevance, ranked_by = label_row(label, len(row)), ranked_by or row
    order = sorted(range(len(row)), key=lambda place: (-ranked_by[place], place))
    discounts = [1 / ln(Decimal(2 + order.index(place))) for place in range(len(row))]
    total, mass = Decimal(0), Decimal(0)
    for i, j in itertools.permutations(range(len(row)), 2):
        if relevance[i] > relevance[j]:
            weight = Decimal(1)
            if weighting == "ndcg":
                gains = [power(Decimal(2), relevance[place]) for place in (i, j)]
                weight = (gains[0] - gains[1]) * abs(discounts[i] - discounts[j])
            total += weight * max(Decimal(0), exact(margin) - (row[i] - row[j]))
            mass += weight
    return total / mass if mass else total


def listwise_crossentropy(label, row, temperature=1.0, ignore_label=None):
    kept = [place for place, r in enumerate(label) if r != ignore_label]
    p = softmax([row[place] / exact(temperature) for place in kept])
    relevance = [exact(label[place]) for place in kept]
    terms = [r * nats(p_i) for r, p_i in zip(relevance, p, strict=True) if r]
    return sum(terms) / sum(relevance)


def distillation_crossentropy(label, row, temperature=2.0):
    t = exact(temperature)
    p = softmax([exact(item) / t for item in label])
    q = softmax([item / t for item in row])
    return t * t * sum(p_c * ln(p_c / q_c) for p_c, q_c in zip(p, q, strict=True) if p_c)


def ordinal_crossentropy(label, row):
    return sum(
        nats(1 / (1 + exp(-z))) if label > k else nats(1 / (1 + exp(z))) for k, z in enumerate(row)
    )


@functools.lru_cache(maxsize=1000)
def power(base, exponent):
    return Decimal(1) if exponent == 0 else base**exponent if base > 0 else Decimal(0)


def focal_crossentropy(label, row, gamma=2.0, from_logits=False, class_weight=None):
    p = distribution(row, from_logits)
    w = per_class(class_weight, len(row))
    total = Decimal(0)
    for c, y in enumerate(label_row(label, len(row))):
        if w[c] * y:
            others = sum(p[:c] + p[c + 1 :])
            total += w[c] * y * power(others, exact(gamma)) * nats(p[c])
    return total


def poly1_crossentropy(label, row, epsilon=1.0, from_logits=False):
    p = distribution(row, from_logits)
    return sum(
        y * (nats(p_c) + exact(epsilon) * (1 - p_c))
        for y, p_c in zip(label_row(label, len(row)), p, strict=True)
        if y
    )


def generalized_crossentropy(label, row, q=0.7, from_logits=False):
    p = distribution(row, from_logits)
    return sum(
        y * (1 - power(p_c, exact(q))) / exact(q)
        for y, p_c in zip(label_row(label, len(row)), p, strict=True)
    )


def symmetric_crossentropy(label, row, alpha=0.1, beta=1.0, from_logits=False):
    p, y = distribution(row, from_logits), label_row(label, len(row))
    forward = sum(y_c * nats(p_c) for y_c, p_c in zip(y, p, strict=True) if y_c)
    logs = [max(ln(y_c), Decimal(-4)) if y_c else Decimal(-4) for y_c in y]
    reverse = -sum(p_c * log for p_c, log in zip(p, logs, strict=True))
    return (exact(alpha) * forward if alpha else 0) + exact(beta) * reverse


def logit_adjusted_crossentropy(label, row, class_prior, strength=1.0):
    prior = [exact(item) / sum(exact(item) for item in class_prior) for item in class_prior]
    shifted = [z + exact(strength) * ln(pi) for z, pi in zip(row, prior, strict=True)]
    return label_smoothed_crossentropy(label, shifted, 0.0, from_logits=True)


def grouped_softmax_crossentropy(label, row, group_sizes, from_logits=False, label_smoothing=0.0):
    total, column = Decimal(0), 0
    has_ids = len(label) == len(group_sizes) != len(row)
    for group, size in enumerate(group_sizes):
        columns = slice(column, column + size)
        inside = int(label[group]) if has_ids else label[columns]
        total += label_smoothed_crossentropy(inside, row[columns], label_smoothing, from_logits)
        column += size
    return total


def asymmetric_sigmoid_crossentropy(
    label, row, gamma_positive=0.0, gamma_negative=4.0, clip=0.05, from_logits=False
):
    total = Decimal(0)
    for y, x in zip(label, row, strict=True):
        y = exact(y)
        p = 1 / (1 + exp(-x)) if from_logits else max(x, SMALLEST)
        complement = 1 / (1 + exp(x)) if from_logits else 1 - x
        m = max(p - exact(clip), Decimal(0))
        remainder = complement + exact(clip) if m else Decimal(1)
        if not from_logits:
            remainder = max(remainder, SMALLEST)
        total += y * power(complement, exact(gamma_positive)) * nats(p) if y else 0
        total += (1 - y) * power(m, exact(gamma_negative)) * nats(remainder) if y != 1 else 0
    return total / len(row)


def multi_label_softmax_crossentropy(label, row):
    absent = sum((1 - exact(y)) * exp(s) for y, s in zip(label, row, strict=True))
    present = sum(exact(y) * exp(-s) for y, s in zip(label, row, strict=True))
    return (1 + absent).ln() + (1 + present).ln()


def in_batch_crossentropy(ids, index, row, temperature=0.05):
    """Row `index` of a batch with these ids."""
    kept = [
        s / exact(temperature)
        for column, s in enumerate(row)
        if column == index or ids[column] != ids[index]
    ]
    right = sum(column < index and ids[column] != ids[index] for column in range(len(row)))
    return nats(softmax(kept)[right])


def length(row):
    return sum(item * item for item in row).sqrt()


def cosine(a, b):
    lengths = length(a) * length(b)
    return sum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else Decimal(0)


def distance_of(a, b, kind):
    if kind == "cosine":
        return 1 - cosine(a, b)
    difference = length([x - y for x, y in zip(a, b, strict=True)])
    return difference * difference if kind == "squared" else difference


def others_of(ids, index, candidates):
    """The positives and the negatives of a row: the candidates with its id, and the others."""
    others = [other for other in candidates if other != index]
    positives = [other for other in others if ids[other] == ids[index]]
    return positives, [other for other in others if ids[other] != ids[index]]


def supervised_contrastive(ids, index, rows, candidates, temperature=0.1):
    """Row `index`; None where the row has no positive."""
    positives, negatives = others_of(ids, index, candidates)
    if not positives:
        return None
    powers = {
        other: exp(cosine(rows[index], rows[other]) / exact(temperature))
        for other in positives + negatives
    }
    terms = [-ln(powers[positive] / sum(powers.values())) for positive in positives]
    return sum(terms) / len(terms)


def triplet_margin(
    ids, index, rows, candidates, margin=0.2, mining="semi-hard", distance="euclidean"
):
    """Row `index`; None where the row lacks a positive or a negative."""
    positives, negatives = others_of(ids, index, candidates)
    if not positives or not negatives:
        return None
    to = {n: distance_of(rows[index], rows[n], distance) for n in positives + negatives}
    if mining == "hard":
        positives = [max(positives, key=to.get)]
    hinges = []
    for positive in positives:
        beyond = [n for n in negatives if to[n] > to[positive]]
        mined = {
            "all": negatives,
            "semi-hard": [min(beyond, key=to.get) if beyond else max(negatives, key=to.get)],
            "hard": [min(negatives, key=to.get)],
        }[mining]
        lacking = [max(Decimal(0), to[positive] - to[n] + exact(margin)) for n in mined]
        hinges.append(sum(lacking) / len(lacking))
    return sum(hinges) / len(hinges)


def of_embeddings(loss, ids, rows, candidates=None, **arguments):
    """The loss of each row (B,) with NaN where the row is ignored, and of each the gradient.

    The gradients are (B, B, D): of each row's loss with respect to all embeddings.
    """
    with decimal.localcontext(prec=DIGITS):
        rows = [[exact(item) for item in row] for row in rows]
        candidates = list(range(len(rows))) if candidates is None else candidates
        values, slopes = [], []
        for index in range(len(rows)):
            value = loss(ids, index, rows, candidates, **arguments)
            values.append(float("nan") if value is None else float(value))
            slopes.append([[0.0] * len(row) for row in rows])
            for i, row in enumerate(rows):
                if value is None or (i != index and i not in candidates):
                    continue
                for k, entry in enumerate(row):
                    ends = []
                    for sign in (1, -1):
                        row[k] = entry + sign * STEP
                        ends.append(loss(ids, index, rows, candidates, **arguments))
                    row[k] = entry
                    slopes[-1][i][k] = float((ends[0] - ends[1]) / (2 * STEP))
        return values, slopes


def value(loss, label, row, **arguments):
    """The loss of one position as a float."""
    with decimal.localcontext(prec=DIGITS):
        return float(loss(label, [exact(item) for item in row], **arguments))


def slope(loss, label, row, **arguments):
    """Its gradient with respect to the row, as floats."""
    with decimal.localcontext(prec=DIGITS):
        return _slope(loss, label, row, **arguments)


def _slope(loss, label, row, **arguments):
    row = [exact(item) for item in row]
    if arguments.get("weighting"):
        arguments["ranked_by"] = row  # The weights are constants to the gradient.
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
