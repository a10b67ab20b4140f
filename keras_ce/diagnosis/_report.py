"""Findings, and the report that lists them."""

import dataclasses
import io
from collections.abc import Sequence
from typing import Any, Literal

import rich.box
import rich.console
import rich.table
import rich.text

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or may be.

    Attributes:
        code: its name, as `docs/diagnosis.md` lists them.
        severity: `"error"` is seen for certain, and makes the training or its numbers wrong;
            `"warning"` is a suspicion, and `fix` says what would settle it; `"note"` is a fact
            worth knowing.
        message: what is wrong and how it was seen.
        fix: what to write instead.
        output: the name of the model's output, or an empty text where it has one only.
    """

    code: str
    severity: Severity
    message: str
    fix: str
    output: str = ""


class DiagnosisError(ValueError):
    """A report has errors; its text lists them."""


class Report:
    """What `keras_ce.diagnose` has found.

    Attributes:
        findings: the findings, the worst first.
        rows: number of rows whose labels were looked at.
        output_rows: number of rows that went through the model.
    """

    def __init__(self, findings: Sequence[Finding], rows: int, output_rows: int) -> None:
        self.findings = sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
        self.rows = rows
        self.output_rows = output_rows

    @property
    def errors(self) -> list[Finding]:
        """The findings that are errors."""
        return [finding for finding in self.findings if finding.severity == "error"]

    def __str__(self) -> str:
        """The findings as a table, the worst first."""
        return self._render(width=100, colour=False)

    def __repr__(self) -> str:
        codes = ", ".join(f"{finding.severity}: {finding.code}" for finding in self.findings)
        return f"<Report of {self.rows} rows: {codes or 'nothing found'}>"

    def __rich__(self) -> rich.console.RenderableType:
        """The same for `rich.print`, in colour and as wide as the terminal."""
        summary = rich.text.Text(self._summary())
        if not self.findings:
            return summary
        return rich.console.Group(self._table(), summary)

    def raise_if_errors(self) -> None:
        """Raise where there is an error; warnings and notes pass.

        Raises:
            DiagnosisError: at least one finding is an error. The text lists all of them.
        """
        if self.errors:
            lines = [
                f"{_title(finding)}: {finding.message} {finding.fix}" for finding in self.errors
            ]
            raise DiagnosisError("\n".join(lines))

    def to_dict(self) -> dict[str, Any]:
        """The report as plain Python values, ready for JSON."""
        return {
            "rows": self.rows,
            "output_rows": self.output_rows,
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
        }

    def _summary(self) -> str:
        counts = [
            f"{number} {severity}{'s' if number > 1 else ''}"
            for severity in SEVERITIES
            if (number := sum(each.severity == severity for each in self.findings))
        ]
        found = ", ".join(counts) or "nothing found"
        through = "" if self.rows == self.output_rows else f", {self.output_rows:,} outputs"
        return f"{found} in {self.rows:,} rows{through}"

    def _table(self) -> rich.table.Table:
        table = rich.table.Table(box=rich.box.SIMPLE_HEAD, show_lines=True, padding=(0, 1, 0, 0))
        table.add_column("severity", no_wrap=True)
        table.add_column("code", no_wrap=True)
        table.add_column("what, and what to write instead")
        for finding in self.findings:
            text = rich.text.Text(finding.message)
            text.append(f"\n-> {finding.fix}", style="green")
            table.add_row(
                rich.text.Text(finding.severity, style=_STYLES[finding.severity]),
                rich.text.Text(_title(finding).replace(" ", "\n")),
                text,
            )
        return table

    def _render(self, width: int, colour: bool) -> str:
        console = rich.console.Console(
            file=io.StringIO(), width=width, no_color=not colour, highlight=False
        )
        with console.capture() as capture:
            console.print(self.__rich__())
        return "\n".join(line.rstrip() for line in capture.get().splitlines()).strip("\n")


def _title(finding: Finding) -> str:
    return f"{finding.code} ({finding.output})" if finding.output else finding.code
