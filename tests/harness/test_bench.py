"""The bench: its jobs, its rows, what it keeps and what it refuses."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from pyarrow import parquet

from shell import Shell
from zerotag.cli import app
from zerotag.errors import MissingPackageError, UnknownNameError, ZerotagError
from zerotag.harness import jobs as jobs_module
from zerotag.harness.bench import Row, bench
from zerotag.harness.comparison import summarise
from zerotag.harness.jobs import Variant, default_variants, plan
from zerotag.harness.methods import method_recipe
from zerotag.harness.results import write_parquet
from zerotag.harness.worker import do
from zerotag.labels import SETTINGS
from zerotag.locks import held
from zerotag.models import list_models
from zerotag.reporting.bench_page import verdict, write_bench


@pytest.fixture(scope="module")
def changes(colour_vectors: Path) -> list[str]:
    return [
        "backbone.size_px=64",
        "backbone.pretrained=false",
        f"vectors.source={colour_vectors}",
        "optimiser.epochs=1",
        "optimiser.batch_size=8",
    ]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A settings file that names a recipe's model with an option it cannot take."""
    file = tmp_path_factory.mktemp("broken") / "broken.yaml"
    tree = {"data": "x", "model": {"name": "gbe", "options": {"num_groups": 0}}}
    file.write_text(yaml.safe_dump(tree))
    return str(file)


@pytest.fixture(scope="module")
def benched(squares: Path, changes: list[str], broken: str, tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    folder = tmp_path_factory.mktemp("bench")
    return bench(
        str(squares),
        [Variant.named(method) for method in ("gbe", "labelem", "logistic", broken)],
        folder,
        num_seeds=1,
        num_workers=2,
        changes=changes,
    )


def folder_of(rows: list[Row]) -> Path:
    return rows[0].job.folder.parent


def test_every_model_is_in_the_bench_that_names_none() -> None:
    methods = [variant.method for variant in default_variants()]
    assert methods[:2] == ["gbe", "gbe-literal"] and set(methods) >= set(list_models())


def test_gbe_as_printed_has_a_row_with_all_labels_seen_where_it_is_named(tmp_path: Path) -> None:
    def rows(variants: list[Variant]) -> set[tuple[str, ...]]:
        jobs = plan("pocket-scenes", variants, num_seeds=1, settings=SETTINGS, folder=tmp_path)
        return {job.judged for job in jobs if job.method == "gbe-literal"}

    assert rows(default_variants()) == {("zsl", "gzsl")}
    assert rows([Variant.named("gbe-literal")]) == {("zsl", "gzsl"), ("multilabel",)}


def test_methods_do_the_settings_that_they_can(benched: list[Row]) -> None:
    judged = {(row.job.method, row.job.judged) for row in benched}
    assert judged == {
        ("gbe", ("zsl", "gzsl")), ("gbe", ("multilabel",)), ("labelem", ("zsl", "gzsl")), ("labelem", ("multilabel",)),
        ("logistic", ("multilabel",)), ("broken", ("zsl", "gzsl")), ("broken", ("multilabel",)),
    }  # fmt: skip


def test_a_run_that_fails_has_its_reason_and_the_others_go_on(benched: list[Row]) -> None:
    for row in benched:
        if row.job.method == "broken":
            assert row.outcome is None and "num_groups" in row.failure and "Traceback" not in row.failure
        else:
            assert row.outcome is not None and set(row.outcome["settings"]) == set(row.job.judged)


def test_costs_and_resamples_are_kept(benched: list[Row]) -> None:
    outcome = benched[0].outcome
    assert outcome is not None and outcome["num_parameters"] > 1000 and outcome["ms_per_image"] > 0
    assert outcome["peak_memory_bytes"] > 50e6 and outcome["train_seconds"] > 0
    figure = outcome["settings"]["gzsl"]["mean_average_precision"]
    resamples = outcome["resampled_map"]["gzsl"]
    assert len(resamples) == 500 and min(resamples) < figure < max(resamples)


def test_all_figures_are_in_the_parquet_file(benched: list[Row]) -> None:
    write_parquet(benched, folder_of(benched) / "results.parquet")
    table = parquet.read_table(folder_of(benched) / "results.parquet").to_pylist()
    assert len(table) == 3 + 3 + 1 + 3
    failed = [row for row in table if row["method"] == "broken"]
    assert all(row["failure"] and row["mean_average_precision"] is None for row in failed)
    others = [row for row in table if row["method"] != "broken"]
    assert all(row["positives_per_image"] == pytest.approx(2.0) for row in others if row["setting"] == "gzsl")
    assert json.loads(others[0]["settings"])["model"]["name"] == "gbe" and "source" in others[0]["versions"]


def test_the_parquet_file_needs_pyarrow(benched: list[Row], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match="pyarrow"):
        write_parquet(benched, tmp_path / "results.parquet")


def test_what_is_there_is_not_done_again(benched: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerotag.harness.worker.train", None)
    assert do(benched[0].job) == benched[0].outcome


def test_the_pages_show_every_method_and_the_failure(benched: list[Row]) -> None:
    for file in write_bench(benched, folder_of(benched), "zerotag bench squares"):
        text = file.read_text()
        assert all(row.job.method in text for row in benched) and "num_groups" in text and "chance" in text
        assert "nan" not in text.lower().replace("chance", "")


def test_the_verdict_names_the_best_of_either_side(benched: list[Row]) -> None:
    summaries = summarise(benched, "gzsl")
    assert [s.method for s in summaries][-1] == "broken" and {s.method for s in summaries[:2]} == {"gbe", "labelem"}
    found = verdict(summaries, benched)
    assert found is not None and (found.best_own, found.best_other) == ("gbe", "labelem")
    figures = {s.method: s.figures["mAP"].mean for s in summaries[:2]}
    assert found.lead == pytest.approx(figures["gbe"] / figures["labelem"] - 1)
    other = next(s for s in summaries if s.method == "labelem")
    assert other.lead is not None and other.lead.mean == pytest.approx(figures["gbe"] - figures["labelem"])


def test_runs_of_other_settings_or_sources_are_refused(
    benched: list[Row], squares: Path, changes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*more: str) -> None:
        plan(
            str(squares),
            [Variant.named("gbe")],
            num_seeds=1,
            settings=["zsl"],
            folder=folder_of(benched),
            changes=[*changes, *more],
        )

    again()
    with pytest.raises(ZerotagError, match=r"gbe-zeroshot-seed0 \(optimiser\).*choose another --out"):
        again("optimiser.learning_rate=0.5")
    monkeypatch.setattr(jobs_module, "current_versions", lambda model: {"source": "changed since"})
    with pytest.raises(ZerotagError, match=r"gbe-zeroshot-seed0 \(source\)"):
        again()


def test_unknown_names_and_empty_benches_say_what_could_be_meant(squares: Path, tmp_path: Path) -> None:
    def asked(method: str, setting: str) -> None:
        plan(str(squares), [Variant.named(method)], num_seeds=1, settings=[setting], folder=tmp_path)

    with pytest.raises(UnknownNameError, match="no method called 'qq'; there are: attention_per_cluster, "):
        asked("qq", "zsl")
    with pytest.raises(UnknownNameError, match="no method called 'lisa'; did you mean: lesa"):
        asked("lisa", "zsl")
    with pytest.raises(UnknownNameError, match="no setting called 'zls'; did you mean: zsl"):
        asked("gbe", "zls")
    with pytest.raises(ZerotagError, match="none of logistic can do zsl"):
        asked("logistic", "zsl")


def test_a_method_is_a_model_a_recipe_or_a_file() -> None:
    assert method_recipe("gbe") == "gbe-fast" and method_recipe("gbe-literal") == "gbe-literal"
    assert method_recipe("mine.yaml") == "mine.yaml"


def test_a_missing_package_is_named_before_anything_is_trained(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("zerotag.cli.research.find_spec", lambda package: None)
    code, _, err = Shell(monkeypatch, capsys)("bench", squares, "--methods", "labelem", "--out", tmp_path / "bench")
    assert code == 1 and "'pyarrow'" in err and "zerotag[research]" in err and not (tmp_path / "bench").exists()


def test_the_command_line_prints_the_tables(benched: list[Row], squares: Path, changes: list[str], broken: str) -> None:
    from typer.testing import CliRunner

    given = ["bench", str(squares), "--methods", f"gbe,labelem,logistic,{broken}", "--seeds", "1"]
    given += ["--out", str(folder_of(benched)), *(part for change in changes for part in ("--set", change))]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 3, result.output  # one of its runs failed
    assert "**MULTILABEL**" in result.stdout and "bench.html" in result.stdout and "failed: " in result.stderr


def test_a_damaged_outcome_is_named(benched: list[Row], tmp_path: Path) -> None:
    job = replace(benched[0].job, folder=tmp_path)
    job.outcome_file.write_text("{")
    with pytest.raises(ZerotagError, match=r"outcome.json is damaged.*delete it and run the bench again"):
        job.outcome()


def test_two_benches_are_not_kept_in_one_folder(squares: Path, changes: list[str], tmp_path: Path) -> None:
    refused = pytest.raises(ZerotagError, match=r"another process is writing to .* or choose another --out")
    with held(tmp_path, "wait"), refused:
        bench(str(squares), [Variant.named("labelem")], tmp_path, num_seeds=1, changes=changes)


@pytest.mark.parametrize(
    "damage", [("resampled_map", {}), ("settings", {}), ("train_seconds", "long"), ("peak_memory_bytes", [])]
)
def test_an_outcome_of_another_kind_is_named(benched: list[Row], tmp_path: Path, damage: tuple[str, object]) -> None:
    job = replace(benched[0].job, folder=tmp_path)
    job.outcome_file.write_text(json.dumps(dict([*(benched[0].outcome or {}).items(), damage])))
    with pytest.raises(ZerotagError, match=r"outcome.json is damaged.*delete it and run the bench again"):
        job.outcome()
