"""What a study is made from, and the trainings that it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zerotag.errors import ZerotagError
from zerotag.harness.bench import Row, bench
from zerotag.harness.jobs import Variant
from zerotag.progress import Progress, silent


@dataclass(frozen=True)
class Request:
    """The choices of whoever asks for a study.

    Attributes:
        data: name or folder of a data set.
        method: what is studied, where it is one method.
        folder: where the study's files go.
        runs: where its trainings are; those that are there already, of a bench or another study, are not made again.
        num_seeds: seeds 0, 1, ... of each training.
        changes: settings ``a.b=c`` of all trainings.
        progress: told of each step.
    """

    data: str
    method: str
    folder: Path
    runs: Path
    num_seeds: int = 1
    changes: tuple[str, ...] = field(default=())
    progress: Progress = silent

    def trained(self, variants: Sequence[Variant], settings: Sequence[str]) -> list[Row]:
        """The variants trained and judged.

        Raises:
            ZerotagError: none of them came to an end.
        """
        rows = bench(
            self.data,
            variants,
            self.runs,
            num_seeds=self.num_seeds,
            settings=settings,
            changes=self.changes,
            progress=self.progress,
        )
        if all(row.outcome is None for row in rows):
            raise ZerotagError(f"no training of the study came to an end, the first one since {rows[0].failure}")
        return rows

    def run_of_method(self) -> Path:
        """The folder of the studied method's run with seed 0.

        Raises:
            ZerotagError: its training failed.
        """
        (row, *_) = self.trained([Variant.named(self.method)], ["zsl", "gzsl"])
        if row.outcome is None:
            raise ZerotagError(f"the training of {self.method} failed: {row.failure}")
        return row.job.folder
