"""Every deliberate mistake is found, and no healthy set-up raises an alarm."""

import collections

import pasting
import pytest
from set_ups.tables import HEALTHY, MISTAKES

import keras_ce
from keras_ce.diagnosis import _diagnose
from keras_ce.diagnosis._checks import CHECKS

CODES = {
    "accuracy-on-logits",
    "broadcast",
    "collapse",
    "constant-labels",
    "constant-output",
    "contradicting-metric",
    "dead-gradient",
    "double-softmax",
    "exclusive-with-sigmoid",
    "first-loss-only",
    "grouped-labels",
    "half-precision-ids",
    "ignored-weights",
    "imbalance",
    "initial-loss",
    "label-kind",
    "label-out-of-range",
    "logits-as-probabilities",
    "multi-label-with-softmax",
    "non-finite",
    "not-a-distribution",
    "structure-mismatch",
    "weights-along-time",
    "without-positives",
    "wrong-activation",
}


@pytest.fixture(autouse=True)
def _each_check_keeps_to_its_codes(monkeypatch):
    """What a check finds beyond the codes of its line is a failure of that check."""

    def kept(check):
        def look(examined):
            for finding in check.look(examined):
                assert finding.code in check.codes
                yield finding

        return check._replace(look=look)

    monkeypatch.setattr(_diagnose, "CHECKS", tuple(map(kept, CHECKS)))


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.name)
def test_a_mistake_is_found(case):
    report = keras_ce.diagnose(**case.make())
    found = {finding.code for finding in report.findings}
    for finding in report.findings:  # whatever can be pasted can be called
        for code in pasting.calls(finding.fix):
            assert pasting.made(code), code
    assert case.code in found, f"not found: {case.code}\n{report}"
    # What runs away has a bad first loss as well; nothing else may be said twice.
    assert found <= {case.code} | ({"initial-loss"} if case.code == "dead-gradient" else set())


@pytest.mark.parametrize("case", HEALTHY, ids=lambda case: case.name)
def test_a_healthy_set_up_has_no_findings(case):
    report = keras_ce.diagnose(**case.make())
    assert report.findings == [], str(report)


def test_the_tables_are_complete():
    assert len(MISTAKES) >= 110
    assert len(HEALTHY) >= 80
    counts = collections.Counter(case.code for case in MISTAKES)
    assert set(counts) == CODES | {"loss-fails", "model-fails"}
    of_outputs = {code for check in CHECKS for code in check.codes}
    of_whole_models = {"ignored-weights", "model-fails", "structure-mismatch"}
    assert of_outputs | of_whole_models == set(counts)
    names = [case.name for case in MISTAKES + HEALTHY]
    assert len(set(names)) == len(names)
