"""Figures that papers printed, and the doubts about them."""

from __future__ import annotations

import pytest
from rich.console import Console

from zerotag import tables
from zerotag.errors import UnknownNameError
from zerotag.published import AtK, Published, doubts, implied_q, published_numbers

PAPER = "GBE-MLZSL (Liu et al. 2023)"


def row(table: str, setting: str, method: str) -> Published:
    (found,) = (
        row
        for row in published_numbers()
        if (row.source, row.setting, row.method) == (f"{PAPER}, Table {table}", setting, method)
    )
    return found


def test_every_table_is_there_with_all_its_rows() -> None:
    sources = [row.source for row in published_numbers()]
    assert [sources.count(f"{PAPER}, Table {table}") for table in ("I", "II", "IV")] == [20, 16, 12]
    assert row("I", "zsl", "GBE-MLZSL").mean_average_precision == 28.7
    assert row("II", "gzsl", "BiAM").at_k[1] == AtK(20, 10.8, 25.0, 15.1)
    assert all(row.backbone for row in published_numbers())


def test_a_row_whose_q_changes_with_k_contradicts_itself() -> None:
    rows = published_numbers()
    assert doubts(row("I", "zsl", "GBE-MLZSL"), rows) == ["contradicts itself: Q is 1.88 at K=3 and 2.15 at K=5"]
    assert implied_q(row("I", "zsl", "GBE-MLZSL")) == "1.88 / 2.15"
    for method in ("CONSE", "LabelEM", "Fast0Tag", "LESA (M=10)", "BiAM"):
        assert doubts(row("I", "zsl", method), rows) == []


def test_a_row_of_other_images_and_a_map_at_chance_are_told() -> None:
    rows = published_numbers()
    assert "other images: Q is 1.76" in doubts(row("I", "zsl", "Deep0Tag"), rows)[0]
    assert doubts(row("IV", "multilabel", "WARP"), rows) == ["mAP at chance, which is 2.98"]


def test_an_f1_that_is_not_that_of_its_precision_and_recall_is_told() -> None:
    wrong = Published("a", "nus-wide", "zsl", "b", "c", "", (AtK(3, 20.0, 30.0, 27.0),), 9.0)
    assert doubts(wrong, [wrong]) == ["F1 at K=3 is 24.0 by its own P and R, printed 27.0"]


def test_an_unknown_data_set_names_the_known_ones() -> None:
    assert {row.data for row in published_numbers("nus-wide")} == {"nus-wide"}
    with pytest.raises(UnknownNameError, match="did you mean: nus-wide"):
        published_numbers("nuswide")


def test_no_name_is_cut_in_a_terminal_of_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Console(width=80).print(*tables.published(published_numbers()))
    printed = capsys.readouterr().out
    assert "GBE-MLZSL (!)" in printed and "all VGG19" in printed and "…" not in printed
