"""What the README shows runs as it stands there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import sklearn.datasets

from shell import Shell

README = Path(__file__).parents[1] / "README.md"


def test_the_example_of_the_library_runs() -> None:
    example = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(example, names)
    assert names["S"].shape == (2, 7, 384) and names["scores"].shape == (2, 3)
    assert names["report"].missing == ()


def test_the_example_of_tagging_prints_what_the_readme_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section = README.read_text().split("## Tag your own pictures", 1)[1]
    command = re.findall(r"```sh\nzerotag (.*?)\n```", section)[0].split()
    expected = re.findall(r"```\n(┏.*?)\n```", section, re.DOTALL)[0]
    (tmp_path / "holiday").mkdir()
    for name in ("china.jpg", "flower.jpg"):
        shutil.copy(Path(sklearn.datasets.__file__).parent / "images" / name, tmp_path / "holiday")
    monkeypatch.chdir(tmp_path)
    code, printed, _ = Shell(monkeypatch, capsys)(*command)
    assert code == 0
    assert _rows(printed) == {picture: pytest.approx(labels, abs=0.02) for picture, labels in _rows(expected).items()}
    assert printed.splitlines()[-2:] == expected.splitlines()[-2:]
    assert " ".join(_caption(printed)) == " ".join(_caption(expected))


def _rows(text: str) -> dict[str, dict[str, float]]:
    rows = re.findall(r"^│ (\S+) +│ (.*?) +│$", text, re.MULTILINE)
    return {picture: {one[:-5]: float(one[-4:]) for one in labels.split(", ")} for picture, labels in rows}


def _caption(text: str) -> list[str]:
    return text.split("┘")[1].split("2 pictures:")[0].split()
