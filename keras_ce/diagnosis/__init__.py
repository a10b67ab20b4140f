"""What is wrong with a model, its loss and its data: `diagnose` and what it returns."""

from keras_ce.diagnosis._diagnose import diagnose
from keras_ce.diagnosis._report import DiagnosisError, Finding, Report

__all__ = ["DiagnosisError", "Finding", "Report", "diagnose"]
