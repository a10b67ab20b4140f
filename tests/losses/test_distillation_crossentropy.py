import backends
import numpy as np
import pytest
import references
from backends import BACKEND, MODES, invalid

from keras_ce.losses import (
    DistillationCrossentropy,
    distillation_crossentropy,
    label_smoothed_crossentropy,
)

GENERATOR = np.random.default_rng(31)
# As quick and as compiled as it gets.
TWO_MODES = sorted({backends.QUICK_MODE, MODES[-1]})
INF = np.inf


def run_of(temperature, mode):
    return backends.gradient_of(
        lambda student, teacher: distillation_crossentropy(teacher, student, temperature), mode
    )


def check(teacher, student, temperature, run):
    values, slopes = run(student, teacher)
    for row, label, value, slope in zip(student, teacher, values, slopes, strict=True):
        arguments = references.distillation_crossentropy, label, row
        expected = references.value(*arguments, temperature=temperature)
        if expected > 1e-30:
            assert value == pytest.approx(expected, rel=1e-5, abs=0)
        else:
            assert 0 <= value < 2e-30
        expected = np.array(references.slope(*arguments, temperature=temperature))
        np.testing.assert_allclose(slope, expected, rtol=0, atol=1e-6 * max(1, *abs(expected)))


@pytest.mark.parametrize("value", [0, -1, float("nan"), True, "2"])
def test_row_18_a_temperature_is_positive(value):
    with invalid("temperature", "positive", value=value):
        DistillationCrossentropy(value)
    with invalid("temperature", "positive", value=value):
        distillation_crossentropy([[0.0, 1.0]], [[0.0, 1.0]], value)


@pytest.mark.parametrize("mode", TWO_MODES)
@pytest.mark.parametrize("temperature", [0.1, 2.0])
def test_row_16_a_student_near_its_teacher_keeps_the_digits(temperature, mode):
    """Losses of 1e-30 and gradients of 1e-15, from differences in the last digits."""
    run = run_of(temperature, mode)
    for scale in (1e-3, 1.0, 30.0):
        teacher = (GENERATOR.normal(size=(6, 5)) * scale).astype("float32")
        noise = GENERATOR.normal(size=teacher.shape)
        check(teacher, (teacher + 1e-3 * noise).astype("float32"), temperature, run)
        check(teacher, (teacher + 1e-6 * noise).astype("float32"), temperature, run)
        check(teacher, (teacher * (1 + 2e-7 * noise)).astype("float32"), temperature, run)
        # The same but for a shift, and for what the shift rounds away.
        check(teacher, (teacher + 100.7).astype("float32"), temperature, run)
        check(teacher, teacher, temperature, run)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_rows_that_nearly_agree_beside_rows_that_do_not(temperature):
    """One batch of divergences from 10 down to 1e-13: torch computes the small ones otherwise."""
    noise = GENERATOR.normal(size=(27, 5)) * 10.0 ** np.linspace(0.5, -6, 27)[:, None]
    teacher = (GENERATOR.normal(size=noise.shape) * 3).astype("float32")
    run = run_of(temperature, backends.QUICK_MODE)
    for shift in (0, -9000):
        check(teacher, (teacher + noise + shift).astype("float32"), temperature, run)


def test_what_a_first_mean_is_off_by():
    """A shift that rounds away digits at the right class, a loss of 3e-18 from another one."""
    teacher = np.array([[37.757153, 20.902672]], "float32")
    check(teacher, teacher - np.float32(9000), 1.0, run_of(1.0, backends.QUICK_MODE))


@pytest.mark.parametrize("mode", TWO_MODES)
def test_a_large_shift_takes_no_digits_of_what_a_rare_class_costs(mode):
    """Whole numbers, which float32 holds beside a shift of a million; losses of about 1e-18."""
    teacher = np.round(3 * GENERATOR.normal(size=(8, 30))).astype("float32")
    teacher[:, -1] = -33
    student = teacher.copy()
    student[:, -1] += np.float32([1, -1] * 4)
    values, _ = run_of(1.0, mode)(student + np.float32(1e6), teacher)
    expected = [
        references.value(references.distillation_crossentropy, *rows, temperature=1.0)
        for rows in zip(teacher, student, strict=True)
    ]
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize("mode", TWO_MODES)
def test_row_8_a_student_far_from_its_teacher(mode):
    """Differences whose exponential overflows, classes with next to no probability."""
    run = run_of(1.0, mode)
    rows = [
        ([0, 0, 0, 0], [0, 0, 0, -2000]),
        ([1000, 0, 0, 0], [0, 990, 0, 0]),  # Half of what the student expects has p = e^-1000.
        ([80, 0, 0, 0], [80, 90, 0, 0]),
        ([1e4, -1e4, 0, 1], [-1e4, 1e4, 1, 0]),
        ([3, 2, 1, 0], [0, 1, 2, 3]),
        ([0, -200, -200, -200], [0, -11, -200, -201]),
    ]
    teacher, student = np.array(rows, "float32").transpose(1, 0, 2)
    check(teacher, student, 1.0, run)


def test_many_classes_of_which_one_is_far_off():
    teacher = (GENERATOR.normal(size=(2, 100)) * 1e-3).astype("float32")
    student = teacher.copy()
    student[0, 7] -= 999.0
    student[1, 7] += 999.0
    check(teacher, student, 1.0, run_of(1.0, backends.QUICK_MODE))


def test_its_gradient_is_that_of_cross_entropy_with_soft_labels():
    teacher, student = (GENERATOR.normal(size=(4, 6)).astype("float32") * 3 for _ in range(2))
    p = np.exp(teacher) / np.exp(teacher).sum(-1, keepdims=True)
    values, slopes = run_of(1.0, backends.QUICK_MODE)(student, teacher)
    plain, plain_slopes = backends.gradient(
        lambda y_pred, y_true: label_smoothed_crossentropy(y_true, y_pred, 0, from_logits=True),
        student,
        p,
    )
    np.testing.assert_allclose(slopes, plain_slopes, atol=1e-6)
    entropy = -(p * np.log(p)).sum(-1)
    np.testing.assert_allclose(values, plain - entropy, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", backends.QUICK_MODES)
def test_classes_that_are_ruled_out(mode):
    """p = 0 where the teacher has -inf; a student's -inf costs infinity unless p is 0 there."""
    teacher = np.array([[1, -INF, 2], [0, 1, 2], [-INF, -INF, 3], [-INF, 0, 1]], "float32")
    student = np.array([[1, 2, 3], [-INF, 1, 2], [0, 1, 2], [-INF, 0.5, 0]], "float32")
    values, slopes = run_of(2.0, mode)(student, teacher)
    expected = [
        references.value(references.distillation_crossentropy, teacher[row], student[row])
        for row in (0, 2, 3)
    ]
    np.testing.assert_allclose(values[[0, 2, 3]], expected, rtol=1e-6)
    assert np.isposinf(values[1])
    q = np.exp(student / 2) / np.exp(student / 2).sum(-1, keepdims=True)
    p = np.exp(teacher / 2) / np.exp(teacher / 2).sum(-1, keepdims=True)
    np.testing.assert_allclose(slopes, 2 * (q - p), atol=1e-6)


def test_what_is_no_logit_of_a_teacher():
    for value in (np.nan, INF):
        teacher = np.zeros((2, 3, 4), "float32")
        teacher[1, 2, 3] = value
        with invalid("y_true", "teacher's logits", position=(1, 2, 3), value=value):
            distillation_crossentropy(teacher, np.zeros((2, 3, 4), "float32"))
    with invalid("y_true", "at least one", fix="rules out every", position=(1, 0), value=-INF):
        distillation_crossentropy([[0.0, -INF], [-INF, -INF]], np.zeros((2, 2), "float32"))


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "eager"])
def test_row_3_compiled_it_is_nan_without_gradient(mode):
    teacher = np.array([[0, np.nan, 1], [-INF, -INF, -INF], [1, 2, 3], [INF, 0, 0]], "float32")
    student = GENERATOR.normal(size=(4, 3)).astype("float32")
    values, slopes = run_of(2.0, mode)(student, teacher)
    assert np.isnan(values).tolist() == [True, True, False, True]
    np.testing.assert_array_equal(slopes[[0, 1, 3]], 0)
    assert np.all(slopes[2] != 0)


def test_ids_and_one_class_are_refused():
    with pytest.raises(ValueError, match="`y_true` must hold the teacher's logits"):
        distillation_crossentropy([0, 1], np.zeros((2, 3), "float32"))
    with pytest.raises(ValueError, match="at least two classes"):
        distillation_crossentropy(np.zeros((2, 1)), np.zeros((2, 1), "float32"))


def test_no_gradient_flows_to_the_teacher():
    student = GENERATOR.normal(size=(3, 4)).astype("float32")
    teacher = GENERATOR.normal(size=(3, 4)).astype("float32")
    if BACKEND == "torch":
        import torch

        labels = torch.tensor(teacher, requires_grad=True)
        outputs = torch.tensor(student, requires_grad=True)
        distillation_crossentropy(labels, outputs).sum().backward()
        assert labels.grad is None
        return
    _, slopes = backends.gradient(
        lambda y_true: distillation_crossentropy(y_true, student) + 0 * y_true[:, 0], teacher
    )
    np.testing.assert_array_equal(slopes, 0)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no float64 unless it is switched on")
def test_float64_near_the_teacher():
    teacher = GENERATOR.normal(size=(3, 4))
    student = teacher + 1e-9 * GENERATOR.normal(size=(3, 4))
    values = backends.array(distillation_crossentropy(teacher, student))
    for row in range(3):
        expected = references.value(
            references.distillation_crossentropy, teacher[row], student[row]
        )
        assert 0 < expected < 1e-15
        assert values[row] == pytest.approx(expected, rel=1e-10, abs=0)
