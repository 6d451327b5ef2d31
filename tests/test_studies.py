"""Every study, on the small world: numbers, figures, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from zerotag.errors import UnknownNameError, ZerotagError
from zerotag.harness.bench import Row
from zerotag.harness.jobs import Variant, plan
from zerotag.harness.worker import do
from zerotag.studies import STUDIES, Request, ablation, attention, projection, run_study, sweep, table4


@pytest.fixture(scope="module")
def in_this_process(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Trainings without worker processes, and fewer of them; all studies share their runs."""

    def bench(data: str, variants: Any, folder: Path, *, progress: Any, **named: Any) -> list[Row]:
        return [Row(job, do(job)) for job in plan(data, variants, folder=folder, **named)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zerotag.studies.request.bench", bench)
        patch.setattr(ablation, "ROWS", {"a": (), "ours": ("fusion", "lid", "gem", "graph")})
        patch.setattr(sweep, "GROUPS", (1, 2))
        patch.setattr(sweep, "LAMBDAS", (0.0, 1.0))
        patch.setattr(projection, "NUM_NEIGHBOURS", 2)
        patch.setattr(attention, "NUM_MAPS", 1)
        for module in (attention, table4):
            patch.setattr(module, "default_variants", lambda: [Variant.named(m) for m in ("gbe", "lesa", "fast0tag")])
        yield tmp_path_factory.mktemp("studies")


@pytest.fixture
def request_of(in_this_process: Path, toy_settings: dict[str, Any], squares: Path) -> Request:
    tree = toy_settings | {"selection": {"held_out_labels": 0.0, "held_out_pictures": 0.0}}
    recipe = in_this_process / "gbe.yaml"
    recipe.write_text(yaml.safe_dump(tree))
    changes = ("backbone.size_px=64", "backbone.pretrained=false", f"vectors.source={tree['vectors']['source']}")
    changes += ("optimiser.epochs=1", "optimiser.batch_size=8")
    return Request(str(squares), "gbe", in_this_process / "out", in_this_process / "runs", 1, changes)


@pytest.mark.parametrize("name", STUDIES)
def test_numbers_settings_and_a_figure_in_two_formats(name: str, request_of: Request) -> None:
    files = run_study(name, request_of)
    assert {f"{name}.{suffix}" for suffix in ("csv", "json", "png", "pdf")} <= {file.name for file in files}
    assert all(file.stat().st_size > 50 for file in files)
    (picture,) = (file for file in files if file.suffix == ".png")
    with Image.open(picture) as image:
        assert min(image.size) > 200
    assert picture.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    kept = json.loads((request_of.folder / f"{name}.json").read_text())
    assert kept["rows"] and kept["settings"]


def test_the_ablation_says_which_modules_were_on(request_of: Request) -> None:
    run_study("ablation", request_of)
    rows = json.loads((request_of.folder / "ablation.json").read_text())["rows"]
    assert [(row["setting"], row["ML-FEF"], row["GLA"]) for row in rows] == [
        ("zsl", False, False), ("zsl", True, True), ("gzsl", False, False), ("gzsl", True, True),
    ]  # fmt: skip


def test_every_method_with_positions_plays_the_pointing_game(request_of: Request) -> None:
    run_study("attention", request_of)
    rows = json.loads((request_of.folder / "attention.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["gbe", "lesa"]
    assert all(0 <= row["pointing_game"] <= 100 and row["chance"] > 0 for row in rows)


def test_what_a_study_cannot_be_made_from(request_of: Request, in_this_process: Path) -> None:
    with pytest.raises(UnknownNameError, match="no study called 'ablations'; did you mean: ablation"):
        run_study("ablations", request_of)
    of_fast0tag = Request(request_of.data, "fast0tag", request_of.folder, request_of.runs, 1, request_of.changes)
    with pytest.raises(ZerotagError, match="method fast0tag keeps no positions"):
        run_study("attention", of_fast0tag)
