"""Every protocol against figures of the evaluator that it is named after (benchmarks/authors_evaluators.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zerotag.errors import UnknownNameError
from zerotag.judgement import evaluate
from zerotag.labels import LabelSet
from zerotag.protocols import PROTOCOLS, protocol_named

GOLDEN = json.loads((Path(__file__).parent / "golden_protocols.json").read_text())
NUM_SEEN = GOLDEN["num_seen"]
CASES = {case["case"]: case for case in GOLDEN["cases"]}


def figures(case: dict[str, Any], protocol: str, setting: str, dtype: type[np.floating[Any]]) -> dict[str, float]:
    scores = np.array(case["scores"], dtype)
    names = [f"label{c}" for c in range(scores.shape[1])]
    labels = LabelSet(tuple(names[:NUM_SEEN]), tuple(names[NUM_SEEN:]))
    annotations = np.array(case["annotations"], np.int8)
    report = evaluate(scores, annotations, labels, setting=setting, ks=(1, 3, 5), protocol=protocol)
    return {"mAP": report.mean_average_precision} | {
        f"{name}@{k}": figure
        for k, triple in report.at_k.items()
        for name, figure in zip(("P", "R", "F1"), triple, strict=True)
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("setting", ["zsl", "gzsl"])
@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name != "paper"])
@pytest.mark.parametrize("case", CASES)
def test_figures_are_those_of_the_authors_evaluator(
    case: str, protocol: str, setting: str, dtype: type[np.floating[Any]]
) -> None:
    expected = CASES[case]["figures"][protocol][setting]
    found = figures(CASES[case], protocol, setting, dtype)
    assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_the_protocols_disagree() -> None:
    maps = {name: figures(CASES["some unknown"], name, "gzsl", np.float32)["mAP"] for name in PROTOCOLS}
    assert len({round(value, 4) for value in maps.values()}) >= 3


def test_an_unknown_protocol_names_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError, match="did you mean: biam"):
        protocol_named("biamm")
