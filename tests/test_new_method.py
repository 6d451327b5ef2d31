"""The page on a method of one's own, carried out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from zerotag.evaluation import evaluate_run
from zerotag.models import MODELS, create_model, list_models, model_summary
from zerotag.training.loop import train
from zerotag.training.settings import validate_settings

PAGE = (Path(__file__).parents[1] / "docs" / "new_method.md").read_text()


@pytest.fixture
def toy() -> Iterator[str]:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/new_method.md", "exec"), {"__name__": "toy"})
    yield "toy"
    del MODELS["toy"]


def test_the_method_is_listed_trained_and_judged(toy: str, toy_settings: dict[str, Any], tmp_path: Path) -> None:
    assert toy in list_models() and model_summary(toy).startswith("A linear map")
    assert create_model(toy, channels={8: 2, 16: 3, 32: 4}, vector_dim=5, bias=False).vector_dim == 5
    (recipe,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    tree = yaml.safe_load(recipe) | {name: toy_settings[name] for name in ("data", "backbone", "vectors")}
    tree["optimiser"]["batch_size"] = 8
    run = train(validate_settings(tree, "the page"), tmp_path / "run")
    assert evaluate_run(run.folder).reports["zsl"].num_images == 16
