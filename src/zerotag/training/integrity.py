"""Whether the folder of a run is whole: every file of it read, and compared with its checksum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from zerotag.errors import ZerotagError
from zerotag.findings import Finding
from zerotag.training import calibration_file, results
from zerotag.training.checkpoint import CHECKSUM, load_tensors, plain_of
from zerotag.training.run import Run, load_run
from zerotag.training.state import START_AGAIN, State


def check_run(folder: Path) -> Iterator[Finding]:
    """What is whole in a run's folder, what is missing, and what is damaged, file by file.

    Args:
        folder: Of the run, finished or not.

    Yields:
        A finding a file: the record, the log, the checkpoint, the weights, the calibration and the figures.
    """
    try:
        run = load_run(folder)
    except ZerotagError as error:
        yield Finding("run.json", "failed", str(error))
        return
    labels = f"{len(run.labels.seen)} seen and {len(run.labels.unseen)} unseen labels"
    yield Finding("run.json", "ok", f"{run.settings.model.name}, {labels}")
    for file, check, otherwise in (
        (run.log_file, _log, "no epoch has ended"),
        (run.checkpoint, _checkpoint, "nothing to go on from"),
        (run.best, _weights, "there while training goes on"),
        (run.weights, _weights, f"the training is not finished; go on with it by adding --resume --out {folder}"),
        (folder / calibration_file.FILE, _calibration, f"no confidences; run: zerotag calibrate {folder}"),
        (folder / results.FILE, _results, f"no figures; run: zerotag eval {folder}"),
    ):
        if not file.exists():
            if file != run.best or (run.checkpoint.exists() and not run.is_finished):
                yield Finding(file.name, "missing", otherwise)
        else:
            yield _finding(file, check, run)


def _finding(file: Path, check: Callable[[Path, Run], str], run: Run) -> Finding:
    try:
        return Finding(file.name, "ok", check(file, run))
    except ZerotagError as error:
        return Finding(file.name, "failed", str(error))


def _log(file: Path, run: Run) -> str:
    return f"{len(run.log())} epochs"


def _checkpoint(file: Path, run: Run) -> str:
    _, plain = load_tensors(file, START_AGAIN)
    return f"step {State.of(file, plain).step}, {_checksum(file)}"


def _weights(file: Path, run: Run) -> str:
    tensors, _ = load_tensors(file)
    return f"{sum(tensor.numel() for tensor in tensors.values())} numbers, all finite; {_checksum(file)}"


def _calibration(file: Path, run: Run) -> str:
    _, about = calibration_file.read_calibration_file(run.folder) or (None, None)
    if about is None or not run.is_finished or about.weights != run.weights_digest():
        raise ZerotagError(f"{file} was made for other weights, and is not used; run: zerotag calibrate {run.folder}")
    return f"of {len(about.labels)} labels, {_checksum(file)}"


def _results(file: Path, run: Run) -> str:
    found = results.read_results(file, results.evaluate_again(run.folder)) or {}
    return f"figures of {', '.join(found['settings'])}"


def _checksum(file: Path) -> str:
    return "as its checksum says" if CHECKSUM in plain_of(file.read_bytes()) else "written without a checksum"
