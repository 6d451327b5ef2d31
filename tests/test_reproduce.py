"""The pages on Tables I and II, carried out word for word on made-up sets."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from zerotag import cli
from zerotag.published import published_numbers

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {number: (DOCS / f"reproduce_table{number}.md").read_text() for number in (1, 2)}
TABLES = {1: ("Table I", "nus-wide", "-nus-wide-maps"), 2: ("Table II", "open-images-v4", "-open-images")}
METHODS = {"LESA (M=10)": "lesa", "BiAM": "biam", "Fast0Tag": "fast0tag"}
both_tables = pytest.mark.parametrize("table", PAGES)


@both_tables
def test_a_newcomer_can_type_what_is_there(
    table: int, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```sh\n(.*?)```", PAGES[table], re.DOTALL):
        for command, *words in map(shlex.split, block.splitlines()):
            if command == "cp":
                shutil.copy(*words)
            else:
                monkeypatch.setattr(sys, "argv", [command, *words])
                cli.app(standalone_mode=False)
    printed = capsys.readouterr().out
    assert "labels: 30 seen, 8 unseen" in printed
    assert "protocol lesa, figures in percent" in printed


@both_tables
def test_the_figures_are_those_that_were_printed(table: int) -> None:
    source, data, ending = TABLES[table]
    printed = {(row.method, row.setting): row for row in published_numbers(data) if row.source.endswith(source)}
    for method, recipe in METHODS.items():
        (line,) = re.findall(rf"\| `{recipe}{ending}` \|(.*)\|", PAGES[table])
        shown = [float(cell) for cell in line.split("|")[1:]]
        rows = [printed[method, setting] for setting in ("zsl", "gzsl")]
        assert shown == [f for row in rows for f in (row.mean_average_precision, *(at_k.f1 for at_k in row.at_k))]
