"""What the tasks do before they train: one look at model, loss and data together."""

from typing import Any

import keras_ce
from recipes.runs.failures import UserError


def stop_on_errors(model: Any, x: Any, y: Any = None, *, verbose: int = 1) -> None:
    """Shows what `keras_ce.diagnose` finds.

    Args:
        model: A compiled model.
        x: Inputs, or a dataset of batches.
        y: Labels, where `x` holds inputs only.
        verbose: 0 prints nothing.

    Raises:
        UserError: If an error is among the findings.
    """
    report = keras_ce.diagnose(model, x, y)
    if report.findings and verbose:
        print(report)
    if report.errors:
        codes = ", ".join(dict.fromkeys(finding.code for finding in report.errors))
        raise UserError(
            f"the diagnosis found errors ({codes}); correct what keras_ce.diagnose says of it, "
            "or train all the same with diagnosis=False (--no-diagnosis)"
        )
