"""All figures of a bench in one Parquet file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zerotag.errors import MissingPackageError
from zerotag.harness.bench import Row
from zerotag.storage import write_atomically
from zerotag.training.run import current_versions


def write_parquet(rows: Sequence[Row], file: Path) -> None:
    """One row for each method, seed and setting; a job that failed has its reason and no figures.

    Raises:
        MissingPackageError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingPackageError("pyarrow", "research", str(file)) from error

    table = []
    for row in rows:
        settings = row.job.settings
        about = {
            "method": row.job.method,
            "model": settings.model.name,
            "data": settings.data,
            "seed": settings.seed,
            "settings": settings.model_dump_json(),
            "versions": json.dumps(current_versions(settings.model.name)),
            "failure": row.failure or None,
        }
        table += [about | {"setting": name} | _figures(row.outcome, name) for name in row.job.judged]
    names = list(dict.fromkeys(name for row in table for name in row))
    content = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table({name: [row.get(name) for row in table] for name in names}), content)
    write_atomically(file, content.getvalue().to_pybytes())


def _figures(outcome: dict[str, Any] | None, setting: str) -> dict[str, Any]:
    if outcome is None:
        return {}
    report = outcome["settings"][setting]
    game = outcome["pointing_game"] or {}
    at_k = {f"{name}_at_{k}": value for k, figures in report["at_k"].items() for name, value in figures.items()}
    return {
        "protocol": report["protocol"],
        "mean_average_precision": report["mean_average_precision"],
        "chance_mean_average_precision": report["chance"]["mean_average_precision"],
        **at_k,
        "positives_per_image": report["positives_per_image"],
        "num_images": report["num_images"],
        "num_labels": report["num_labels"],
        "pointing_game": game.get("accuracy"),
        "pointing_game_chance": game.get("chance"),
        "num_parameters": outcome["num_parameters"],
        "train_seconds": outcome["train_seconds"],
        "ms_per_image": outcome["ms_per_image"],
        "peak_memory_bytes": outcome["peak_memory_bytes"],
    }
