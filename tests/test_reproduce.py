"""The page on NUS-WIDE, carried out word for word on a made-up set."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from zerotag import cli
from zerotag.published import published_numbers

PAGE = (Path(__file__).parents[1] / "docs" / "reproduce.md").read_text()
PROTOCOLS = {"LESA (M=10)": "lesa-nus-wide-maps", "BiAM": "biam-nus-wide-maps", "Fast0Tag": "fast0tag-nus-wide-maps"}


def test_a_newcomer_can_type_what_is_there(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL):
        for command, *words in map(shlex.split, block.splitlines()):
            if command == "cp":
                shutil.copy(*words)
            else:
                monkeypatch.setattr(sys, "argv", [command, *words])
                cli.app(standalone_mode=False)
    printed = capsys.readouterr().out
    assert "labels: 30 seen, 8 unseen" in printed
    assert "protocol lesa, figures in percent" in printed


def test_the_figures_are_those_that_were_printed() -> None:
    printed = {
        (row.method, row.setting): row for row in published_numbers("nus-wide") if row.source.endswith("Table I")
    }
    for method, recipe in PROTOCOLS.items():
        (line,) = re.findall(rf"\| `{recipe}` \|(.*)\|", PAGE)
        shown = [float(cell) for cell in line.split("|")[1:]]
        rows = [printed[method, setting] for setting in ("zsl", "gzsl")]
        assert shown == [f for row in rows for f in (row.mean_average_precision, *(at_k.f1 for at_k in row.at_k))]
