from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from zerotag.errors import ZerotagError
from zerotag.models import list_models
from zerotag.training.settings import list_recipes, load_settings

MINIMAL = "data: pictures\nmodel:\n  name: gbe\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "mine.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("recipe", list_recipes())
def test_every_recipe_holds_and_begins_with_its_command(recipe: str) -> None:
    settings = load_settings(recipe.removesuffix(".yaml"))
    assert settings == load_settings(recipe)
    assert settings.model.name in list_models()
    text = (resources.files("zerotag") / "experiments" / recipe).read_text()
    assert text.startswith(f"# zerotag train {recipe.removesuffix('.yaml')}\n")


def test_changes_win_over_the_file(tmp_path: Path) -> None:
    settings = load_settings(
        written(tmp_path, MINIMAL),
        ["optimiser.epochs=3", "seed=5", "model.options.grid=7", "optimiser.milestones=[1, 2]"],
    )
    assert (settings.optimiser.epochs, settings.seed, settings.optimiser.milestones) == (3, 5, [1, 2])
    assert settings.model.options == {"grid": 7}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: x\n", "'model': this setting is needed"),
        (MINIMAL + "colour: red\n", "'colour': there is no such setting"),
        (MINIMAL + "optimiser:\n  epochs: 0\n", "'optimiser.epochs': it should be greater than or equal to 1"),
        (MINIMAL + "optimiser:\n  learning_rate: fast\n", "'optimiser.learning_rate': it should be a valid number"),
        (MINIMAL + "labels:\n  unseen_fraction: 1.5\n", "'labels.unseen_fraction'"),
        ("data: x\nmodel:\n  name: gbee\n", "there is no model called 'gbee'; did you mean: gbe"),
        ("data: [\n", "is not valid YAML"),
        ("- 1\n", "holds no settings"),
        ("", "holds no settings"),
    ],
)
def test_a_setting_that_does_not_hold_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ZerotagError) as caught:
        load_settings(written(tmp_path, text))
    assert message in str(caught.value)
    assert "mine.yaml" in str(caught.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ZerotagError, match=r"'seed'.*'colour'|'colour'.*'seed'"):
        load_settings(written(tmp_path, MINIMAL + "seed: -1\ncolour: red\n"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epochs", "is no setting; write it as"),
        ("=3", "is no setting; write it as"),
        ("seed.x=3", "'seed' is a value, not a section"),
        ("seed=[", "is not valid YAML"),
    ],
)
def test_a_change_that_makes_no_sense_is_named(tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(ZerotagError, match=message.replace("[", r"\[")):
        load_settings(written(tmp_path, MINIMAL + "seed: 1\n"), [change])


def test_a_missing_file_is_named_with_the_recipes(tmp_path: Path) -> None:
    with pytest.raises(ZerotagError, match=r"there is no settings file .*gbe-fast"):
        load_settings(tmp_path / "none.yaml")


def test_paths_hold_from_every_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "words.txt").touch()
    monkeypatch.chdir(tmp_path)
    text = "data: holiday\nmodel:\n  name: gbe\nvectors:\n  source: words.txt\n"
    settings = load_settings(written(tmp_path, text))
    assert settings.data == str(tmp_path / "holiday")
    assert settings.vectors.source == str(tmp_path / "words.txt")


def test_a_known_name_is_no_path_even_beside_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pocket-scenes").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_settings("gbe-fast").data == "pocket-scenes"
