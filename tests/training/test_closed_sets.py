"""Methods with fixed labels, from training to tags."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from zerotag.datasets import load_dataset
from zerotag.errors import ZerotagError
from zerotag.evaluation import evaluate_run
from zerotag.models import MODELS, list_models
from zerotag.tagging.tagger import Tagger
from zerotag.training.loop import train
from zerotag.training.settings import validate_settings

CLOSED = [name for name in list_models() if MODELS[name].settings == ("multilabel",)]


@pytest.mark.parametrize("name", CLOSED)
def test_a_closed_set_is_trained_judged_and_asked_for_some_of_its_labels(
    name: str, toy_settings: dict[str, Any], tmp_path: Path
) -> None:
    tree = copy.deepcopy(toy_settings) | {"model": {"name": name}, "labels": {"unseen_fraction": 0.0}}
    tree["selection"] = {"held_out_labels": 0.0, "held_out_pictures": 0.0}
    run = train(validate_settings(tree, "the test"), tmp_path / "run")
    report = evaluate_run(run.folder, ["multilabel"]).reports["multilabel"]
    assert (report.setting, report.num_labels) == ("multilabel", 10)
    with pytest.raises(ZerotagError, match=f"model {name} cannot do setting 'gzsl'.*it can do multilabel"):
        evaluate_run(run.folder, ["gzsl"])

    picture = load_dataset(tree["data"]).picture(40)
    tagger = Tagger.load(run.folder)
    (tags,) = tagger.tag([picture], ["white", "red", "blue"])
    (all_tags,) = tagger.tag([picture], top_k=10)
    assert {tag.label for tag in tags} == {"white", "red", "blue"}
    scores = {tag.label: tag.score for tag in all_tags}
    assert all(tag.score == pytest.approx(scores[tag.label], abs=1e-5) for tag in tags)
    with pytest.raises(ZerotagError, match="ranks only the labels it was trained on"):
        tagger.tag([picture], ["red", "red blue"])
