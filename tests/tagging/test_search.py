"""Search: the coarse index finds what exact scores find; unwanted words and examples count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zerotag.errors import ZerotagError
from zerotag.tagging.catalogue import Catalogue, Content, File
from zerotag.tagging.library import update
from zerotag.tagging.plan import plan
from zerotag.tagging.search import Index, Query
from zerotag.tagging.tagger import Tagger
from zerotag.training.network import scores_of

NUMBER = 3000


@pytest.fixture(scope="module")
def tagger(toy_run: Path) -> Tagger:
    return Tagger.load(toy_run)


@pytest.fixture(scope="module")
def made_up(tagger: Tagger, tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalogue, np.ndarray]:
    """A catalogue of vectors that belong to no pictures."""
    folder = tmp_path_factory.mktemp("made-up")
    catalogue = Catalogue(folder / "c.zerotag", folder)
    S = np.random.default_rng(0).normal(size=(NUMBER, *tagger.vectors_shape)).astype(np.float16)
    digests = [index.to_bytes(16, "big") for index in range(NUMBER)]
    files = [File(f"{index:05}.jpg", 1, 1, digest) for index, digest in enumerate(digests)]
    contents = [Content(digest, 10, 10, one) for digest, one in zip(digests, S, strict=True)]
    catalogue.save(files, contents, catalogue.model(tagger.identity, tagger.vectors_shape))
    return catalogue, S


def exact(tagger: Tagger, S: np.ndarray, words: list[str], weights: list[float]) -> np.ndarray:
    scores = scores_of(tagger.network.model, torch.from_numpy(S.astype(np.float32)), tagger.vocabulary(words).W)
    z = (scores - scores.mean(0)) / scores.std(0)
    z[:, np.array(weights) < 0] = np.maximum(z[:, np.array(weights) < 0], 0)
    return np.argsort(-(z @ np.array(weights)), kind="stable")


@pytest.mark.parametrize("words", [["red"], ["red", "blue"], ["red", "-pink"], ["grey", "-red", "-green"]])
def test_recall_against_exact_scores(words: list[str], tagger: Tagger, made_up: tuple[Catalogue, np.ndarray]) -> None:
    catalogue, S = made_up
    index = Index(catalogue, tagger)
    assert index.is_coarse
    found = index.search(Query.of(words), top=50)
    weights = [-1.0 if word.startswith("-") else 1.0 for word in words]
    expected = exact(tagger, S, [word.removeprefix("-") for word in words], weights)[:50]
    assert len({match.path for match in found} & {f"{i:05}.jpg" for i in expected}) >= 49
    assert [match.match for match in found] == sorted((match.match for match in found), reverse=True)


def test_by_bytes_too_of_a_word_counts_what_the_model_compares(
    tagger: Tagger, made_up: tuple[Catalogue, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue, S = made_up
    W = tagger.vocabulary(["red", "blue"]).W
    monkeypatch.setitem(tagger.network.model._buffers, "span", torch.diag(torch.arange(W.shape[1]) < 3).float())
    index = Index(catalogue, tagger)
    assert index.is_coarse
    expected = scores_of(tagger.network.model, torch.from_numpy(S.astype(np.float32)), W)
    np.testing.assert_allclose(index._scores(W, None), expected, atol=0.05 * expected.std())


def test_models_of_other_scores_are_searched_exactly(
    tagger: Tagger, made_up: tuple[Catalogue, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue, S = made_up
    kind = type(tagger.network.model)
    monkeypatch.setattr(kind, "score", lambda self, S, W: (S @ W.T).mean(1), raising=False)
    index = Index(catalogue, tagger)
    assert not index.is_coarse
    found = [match.path for match in index.search(Query.of(["red"]), top=5)]
    assert found == [f"{i:05}.jpg" for i in exact(tagger, S, ["red"], [1.0])[:5]]


def test_an_example_is_its_own_best_match(tagger: Tagger, squares: Path, tmp_path: Path) -> None:
    place = tmp_path / "c.zerotag"
    with Catalogue(place, squares) as catalogue:
        update(catalogue, tagger, plan(squares, place, tagger))
        index = Index(catalogue, tagger)
        for name in ("00.png", "17.png"):
            found = index.search(Query.of([], [squares / name]), top=3)
            assert found[0].path == name
        assert len(index.search(Query.of(["red"]), top=500)) == 48


def test_what_others_change_is_searched_as_it_is_now(tagger: Tagger, tmp_path: Path) -> None:
    S = np.random.default_rng(1).normal(size=(3, *tagger.vectors_shape)).astype(np.float16)
    files = [File(f"{index}.jpg", 1, 1, bytes([index])) for index in range(3)]
    contents = [Content(file.digest or b"", 10, 10, one) for file, one in zip(files, S, strict=True)]

    def found() -> set[str]:
        return {match.path for match in index.search(Query.of(["red"]))}

    with Catalogue(tmp_path / "c.zerotag", tmp_path) as catalogue, Catalogue(tmp_path / "c.zerotag") as other:
        catalogue.save(files[:2], contents[:2], catalogue.model(tagger.identity, tagger.vectors_shape))
        index = Index(catalogue, tagger)
        assert found() == {"0.jpg", "1.jpg"}
        other.save(files[2:], contents[2:], index.model)
        assert found() == {"0.jpg", "1.jpg", "2.jpg"}
        other.forget(["0.jpg"])
        assert found() == {"1.jpg", "2.jpg"}
        catalogue.forget(["1.jpg"])
        assert found() == {"2.jpg"}
        with catalogue.snapshot():
            other.forget(["2.jpg"])
            assert found() == {"2.jpg"}
        with pytest.raises(ZerotagError, match="has no pictures of this model"):
            found()


@pytest.mark.parametrize("words", [[""], ["  "], ["-"], ["red", "- "], ["\u3000"]])
def test_blank_words_are_refused(words: list[str]) -> None:
    with pytest.raises(ZerotagError, match="is blank"):
        Query.of(words)
    assert Query.of([" red ", " -blue"]) == Query(("red",), ("blue",))


def test_what_cannot_be_searched(tagger: Tagger, tmp_path: Path) -> None:
    with pytest.raises(ZerotagError, match="nothing is looked for"):
        Query.of(["-red"])
    with (
        Catalogue(tmp_path / "c.zerotag", tmp_path) as catalogue,
        pytest.raises(ZerotagError, match="has no pictures of this model"),
    ):
        Index(catalogue, tagger)
    with pytest.raises(ZerotagError, match="there is no catalogue"):
        Catalogue(tmp_path / "none.zerotag")
