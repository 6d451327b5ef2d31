"""The search: what it judges by, that it goes on, and what it refuses."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import optuna
import pytest

from zerotag.errors import ZerotagError
from zerotag.harness import journal, tuning
from zerotag.harness.tuning import Found, tune
from zerotag.locks import held
from zerotag.training.run import load_run
from zerotag.training.settings import Settings, load_settings, validate_settings


def start(toy_settings: dict[str, Any], **model: Any) -> Settings:
    tree = copy.deepcopy(toy_settings)
    tree["optimiser"]["epochs"] = 1
    tree["selection"] = {"held_out_labels": 0.0, "held_out_pictures": 0.0}
    if model:
        tree["model"] = model
    return validate_settings(tree, "the test")


def without_seconds(found: Found) -> list[dict[str, Any]]:
    return [row | {"seconds": 0} for row in found.trials]


def test_the_best_trial_becomes_settings_to_train_with(toy_settings: dict[str, Any], tmp_path: Path) -> None:
    settings = start(toy_settings)
    found = tune(settings, tmp_path, num_trials=3)
    assert len(found.trials) == 3
    assert found.trials[0] | {"learning_rate": 1e-3, "weight_decay": 0.01} == found.trials[0]
    assert found.score == max(row["score"] for row in found.trials)
    best = load_settings(tmp_path / "best.yaml")
    assert best == found.settings and best.selection == settings.selection
    assert (tmp_path / "trials.csv").read_text().count("\n") == 4

    run = load_run(tmp_path / "trial-0")
    assert len(run.held_out_labels) == 2, "a fifth of the eight seen labels"
    assert run.log()[-1]["held_out_map"] == found.trials[0]["score"]


def test_a_search_goes_on_and_comes_to_the_same(toy_settings: dict[str, Any], tmp_path: Path) -> None:
    settings = start(toy_settings)
    whole = tune(settings, tmp_path / "whole", num_trials=3)
    tune(settings, tmp_path / "parts", num_trials=1)
    parts = tune(settings, tmp_path / "parts", num_trials=3)
    assert without_seconds(parts) == without_seconds(whole)


def test_a_trial_that_was_killed_is_tried_again_and_the_search_comes_to_the_same(
    toy_settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*given: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    settings = start(toy_settings)
    whole = tune(settings, tmp_path / "whole", num_trials=3)
    for done in range(3):
        monkeypatch.setattr(tuning, "train", killed)
        with pytest.raises(KeyboardInterrupt):
            tune(settings, tmp_path / "killed", num_trials=3)
        monkeypatch.undo()
        killed_at_times = tune(settings, tmp_path / "killed", num_trials=done + 1)
    assert without_seconds(killed_at_times) == without_seconds(whole)


def test_a_method_with_fixed_labels_is_judged_on_all_of_them(toy_settings: dict[str, Any], tmp_path: Path) -> None:
    found = tune(start(toy_settings, name="logistic"), tmp_path, num_trials=1)
    run = load_run(tmp_path / "trial-0")
    assert found.score > 0 and not run.held_out_labels and not run.labels.unseen


def test_a_trial_that_fails_is_a_row_with_its_reason(
    toy_settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = tuning.train

    def fails_at_first(settings: Settings, folder: Path, **named: Any) -> Any:
        if folder.name == "trial-0":
            raise ZerotagError("the loss is no longer a number")
        return train(settings, folder, **named)

    monkeypatch.setattr(tuning, "train", fails_at_first)
    found = tune(start(toy_settings), tmp_path, num_trials=2)
    assert found.trials[0]["score"] is None and "no longer a number" in found.trials[0]["failure"]
    assert found.score == found.trials[1]["score"]
    with pytest.raises(ZerotagError, match=r"every trial failed.*no longer a number"):
        tune(start(toy_settings), tmp_path / "other", num_trials=1)


def test_searches_from_other_settings_are_not_mixed(
    toy_settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(start(toy_settings), tmp_path, num_trials=1)
    refused = pytest.raises(
        ZerotagError, match=r"began from other settings, or with other bounds; choose another --out"
    )
    with refused:
        tune(start(toy_settings, name="fast0tag"), tmp_path, num_trials=2)
    monkeypatch.setattr(journal, "WEIGHT_DECAYS", (1e-4, 0.3))
    with refused:
        tune(start(toy_settings), tmp_path, num_trials=2)
    assert len(optuna.load_study(study_name="zerotag", storage=journal._storage(tmp_path / journal.FILE)).trials) == 1


def test_a_damaged_search_is_named(toy_settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "journal.log").write_text("no journal\n")
    with pytest.raises(ZerotagError, match=r"journal.log is damaged \(line 1: .*choose another --out"):
        tune(start(toy_settings), tmp_path, num_trials=1)


HEAD = '{"op_code":0,"worker_id":"w","study_name":"zerotag","directions":[2]}'
TRIAL = HEAD + '\n{"op_code":4,"worker_id":"w","study_id":0,"datetime_start":"2026-01-01T00:00:00.000000"}'
DONE = '"op_code":6,"worker_id":"w","trial_id":0,"datetime_complete":"2026-01-01T00:00:00.000000"'


@pytest.mark.parametrize(
    "content",
    [
        "[1]",
        "null",
        "[" * 10_000,
        "\xff\xfe",
        '{"op_code":0}',
        '{"op_code":"a","worker_id":"w"}',
        '{"op_code":99,"worker_id":"w"}',
        HEAD.replace("[2]", "7"),
        HEAD + "\n" + HEAD + HEAD,
        HEAD + '\n{"op_code":2,"worker_id":"w","study_id":0,"user_attr":{"start":NaN}}',
        HEAD + '\n{"op_code":2,"worker_id":"w","study_id":0,"user_attr":"start"}',
        HEAD + '\n{"op_code":4,"worker_id":"w","study_id":0,"datetime_start":"yesterday"}',
        TRIAL + '\n{"op_code":6,"worker_id":"w","trial_id":0,"state":1,"values":["a"]}',
        TRIAL + '\n{"op_code":8,"worker_id":"w","trial_id":0,"user_attr":{"seconds":"long"}}',
        TRIAL + "\n{" + DONE + ',"state":1,"values":[7.0]}',
    ],
)
def test_a_journal_of_anything_is_named(toy_settings: dict[str, Any], tmp_path: Path, content: str) -> None:
    (tmp_path / journal.FILE).write_text(content + "\n", encoding="latin-1")
    with pytest.raises(ZerotagError, match=r"journal.log is damaged .*choose another --out"):
        tune(start(toy_settings), tmp_path, num_trials=1)


def test_what_a_killed_search_leaves_is_taken_away(
    toy_settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, settings = Path("search"), start(toy_settings)
    with held(folder, "wait"):
        journal.open_study(settings, folder)
    whole = (folder / journal.FILE).read_bytes()
    (folder / journal.FILE).write_bytes(whole + b'{"op_code":4,"wor')
    (folder / "journal.log.lock").symlink_to("search/journal.log")
    with held(folder, "wait"):
        assert not journal.open_study(settings, folder).trials
    assert (folder / journal.FILE).read_bytes().startswith(whole)
    assert b"wor\n" not in (folder / journal.FILE).read_bytes()


def test_two_searches_are_not_kept_in_one_folder(toy_settings: dict[str, Any], tmp_path: Path) -> None:
    refused = pytest.raises(ZerotagError, match=r"another process is writing to .*; .* or choose another --out")
    with held(tmp_path, "wait"), refused:
        tune(start(toy_settings), tmp_path, num_trials=1)
