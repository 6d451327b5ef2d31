from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from colours import COLOURS
from zerotag.backbones import create_backbone
from zerotag.datasets import TRAIN, load_dataset
from zerotag.errors import ZerotagError
from zerotag.evaluation import evaluate_run
from zerotag.labels import split_labels
from zerotag.models import create_model
from zerotag.models.gbe import GBE
from zerotag.training.checkpoint import load_tensors
from zerotag.training.loop import partners, train
from zerotag.training.network import Network
from zerotag.training.run import Run, load_run
from zerotag.training.settings import Settings, validate_settings


def changed(plain: dict[str, Any], **sections: Any) -> Settings:
    tree = copy.deepcopy(plain)
    for section, values in sections.items():
        tree[section] = tree.get(section, {}) | values if isinstance(values, dict) else values
    return validate_settings(tree, "the test")


@pytest.fixture(scope="module")
def finished(toy_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(changed(toy_settings), tmp_path_factory.mktemp("runs") / "gbe")


def test_labels_are_split_by_seed_and_the_unseen_ones_kept_out(finished: Run) -> None:
    run = load_run(finished.folder)
    assert run.labels == split_labels(list(COLOURS), unseen_fraction=0.2, seed=0)
    assert len(run.labels.unseen) == 2 and len(run.held_out_labels) == 2
    assert set(run.held_out_labels) < set(run.labels.seen)


def test_the_best_epoch_on_held_out_seen_labels_is_kept(finished: Run) -> None:
    scores = [line["held_out_map"] for line in finished.log()]
    assert load_tensors(finished.weights)[1]["epoch"] == 1 + scores.index(max(scores))


def test_without_held_out_labels_held_out_pictures_are_judged_on_the_trained_ones(
    toy_settings: dict[str, Any], tmp_path: Path
) -> None:
    run = train(changed(toy_settings, selection={"held_out_labels": 0.0, "held_out_pictures": 0.25}), tmp_path / "run")
    assert run.held_out_labels == () and all(0 < line["held_out_map"] <= 1 for line in run.log())


def test_the_first_epoch_is_kept_where_no_held_out_picture_has_a_label_to_be_ranked(
    finished: Run, toy_settings: dict[str, Any], squares: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in (squares / "labels.jsonl").read_text().splitlines()]
    for row in rows:
        row["path"] = str(squares / row["path"])
        row["labels"] = [label for label in row["labels"] if label not in finished.held_out_labels]
        row.pop("objects", None)
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "labels.txt").write_text("\n".join(load_dataset(str(squares)).labels))
    run = train(changed(toy_settings, data=str(tmp_path)), tmp_path / "run")
    assert run.held_out_labels == finished.held_out_labels and len(run.log()) == 2
    assert load_tensors(run.weights)[1]["epoch"] == 1


def test_without_held_out_pictures_the_last_epoch_is_kept(toy_settings: dict[str, Any], tmp_path: Path) -> None:
    settings = changed(toy_settings, selection={"held_out_pictures": 0.0})
    run = train(settings, tmp_path / "run")
    assert load_tensors(run.weights)[1]["epoch"] == 2
    assert all("held_out_map" not in line for line in run.log())


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    finished: Run, toy_settings: dict[str, Any], tmp_path: Path
) -> None:
    again = train(changed(toy_settings), tmp_path / "again")
    other = train(changed(toy_settings, seed=1), tmp_path / "other")
    assert again.weights.read_bytes() == finished.weights.read_bytes()
    assert other.weights.read_bytes() != finished.weights.read_bytes()


def test_the_backbone_is_trained_too(toy_settings: dict[str, Any], tmp_path: Path) -> None:
    settings = changed(toy_settings, backbone={"train": True})
    run = train(settings, tmp_path / "run")
    first = create_backbone("tf_efficientnet_lite0", pretrained=False, size_px=64, whole=False).state_dict()
    trained = load_tensors(run.weights)[0]
    assert [name for name, tensor in first.items() if torch.equal(tensor, trained[f"backbone.{name}"])] == []
    assert evaluate_run(run.folder).reports["zsl"].num_images == 16


def test_figures_are_written_beside_the_run(finished: Run) -> None:
    evaluation = evaluate_run(finished.folder)
    written = json.loads((finished.folder / "results.json").read_text())
    assert written["settings"]["zsl"]["num_labels"] == 2
    assert written["settings"]["gzsl"]["num_labels"] == 10
    assert (list(evaluation.reports["zsl"].at_k), list(evaluation.reports["gzsl"].at_k)) == ([], [3, 5])
    assert evaluation.pointing_game is not None and 0 < evaluation.pointing_game.num_pairs <= 32
    assert evaluation.pointing_game.chance < 0.5


def test_scores_appear_whole_or_not_at_all(finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "new" / "scores.npy"
    evaluate_run(finished.folder, scores_file=file)
    scores = np.load(file)
    assert scores.shape == (16, 10) and np.isfinite(scores).all()
    with monkeypatch.context() as patch:
        patch.setattr("zerotag.evaluation.evaluate", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            evaluate_run(finished.folder, scores_file=file)
    np.testing.assert_array_equal(np.load(file), scores)
    assert list(file.parent.iterdir()) == [file]


def test_a_loss_that_is_no_number_stops_the_training(toy_settings: dict[str, Any], tmp_path: Path) -> None:
    settings = changed(toy_settings, optimiser={"learning_rate": 1e30, "schedule": "constant"})
    with pytest.raises(ZerotagError, match=r"no longer a number.*lower optimiser\.learning_rate"):
        train(settings, tmp_path / "run")


def test_weights_of_another_shape_are_refused(finished: Run, toy_settings: dict[str, Any], tmp_path: Path) -> None:
    wider = changed(toy_settings, model={"options": {"num_groups": 3, "fusion_channels": 8, "grid": 4}})
    other = train(wider, tmp_path / "other")
    other.weights.write_bytes(finished.weights.read_bytes())
    with pytest.raises(ZerotagError, match="was written by a model of another shape"):
        evaluate_run(other.folder)


def test_an_unfinished_run_cannot_be_judged(finished: Run, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text((finished.folder / "run.json").read_text())
    with pytest.raises(ZerotagError, match="not finished"):
        evaluate_run(tmp_path)


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ZerotagError, match="holds no run"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ZerotagError, match="is damaged"):
        load_run(tmp_path)


def test_a_share_of_the_pictures_gets_a_partner() -> None:
    torch.manual_seed(0)
    assert torch.equal(partners(5, share=0.0), torch.arange(5))
    assert sorted(partners(50, share=1.0).tolist()) == list(range(50))
    with_another = (partners(10_000, share=0.3) != torch.arange(10_000)).float().mean()
    assert 0.28 < with_another < 0.32


def test_superposed_pictures_are_the_maximum_of_both_maps() -> None:
    network = Network(create_model("fast0tag", channels={8: 4, 16: 4, 32: 6}, vector_dim=5)).eval()
    maps = {stride: torch.rand(3, channels, 2, 2) for stride, channels in ((8, 4), (16, 4), (32, 6))}
    partner = torch.tensor([2, 1, 0])
    expected = network.embed({stride: torch.maximum(one, one[[2, 1, 0]]) for stride, one in maps.items()})
    torch.testing.assert_close(network(maps, partner), expected)
    assert not torch.allclose(network(maps, partner)[0], network.embed(maps)[0])


def test_superposed_pictures_carry_the_labels_of_both(toy_settings: dict[str, Any], tmp_path: Path) -> None:
    seen: list[torch.Tensor] = []
    with pytest.MonkeyPatch.context() as patch:
        loss = GBE.loss
        patch.setattr(GBE, "loss", lambda self, S, W, positives: seen.append(positives) or loss(self, S, W, positives))
        train(changed(toy_settings, optimiser={"superpose": 1.0}), tmp_path / "run")
    assert max(int(positives.sum(1).max()) for positives in seen) > 2


def test_pictures_without_a_label_to_train_on_are_counted(finished: Run) -> None:
    dataset = load_dataset(finished.settings.data)
    fitted = set(finished.labels.seen) - set(finished.held_out_labels)
    bare = sum(not set(dataset.labels_of(i)) & fitted for i in dataset.rows(TRAIN).tolist())
    counts = [line["pictures_without_labels"] for line in finished.log()]
    assert 0 < max(counts) <= bare
