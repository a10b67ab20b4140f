"""What is wrong with a model, its loss and its data, down to the row."""

from keras_ce.diagnosis._culprits import RowFinding
from keras_ce.diagnosis._diagnose import diagnose
from keras_ce.diagnosis._gradient import with_gradient
from keras_ce.diagnosis._label_issues import find_label_issues
from keras_ce.diagnosis._report import DiagnosisError, Finding, Report
from keras_ce.diagnosis._row_losses import RowLosses, row_losses
from keras_ce.diagnosis._watch import Watch

__all__ = [
    "DiagnosisError",
    "Finding",
    "Report",
    "RowFinding",
    "RowLosses",
    "Watch",
    "diagnose",
    "find_label_issues",
    "row_losses",
    "with_gradient",
]
