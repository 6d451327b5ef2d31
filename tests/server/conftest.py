"""A tagged folder, and a server for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from zerotag.server.app import create_app
from zerotag.server.bodies import Bodies
from zerotag.server.service import Service
from zerotag.tagging.catalogue import Catalogue, catalogue_of
from zerotag.tagging.folder import Rule
from zerotag.tagging.library import update
from zerotag.tagging.plan import plan
from zerotag.tagging.tagged import TaggedFolder
from zerotag.tagging.tagger import Tagger

HERE = "http://127.0.0.1"


@pytest.fixture(scope="module")
def library(toy_run: Path, squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 48 pictures, tagged with four words."""
    folder = tmp_path_factory.mktemp("library") / "pictures"
    folder.mkdir()
    for path in squares.glob("*.png"):
        (folder / path.name).write_bytes(path.read_bytes())
    tagger, place = Tagger.load(toy_run), catalogue_of(folder)
    with Catalogue(place, folder) as catalogue:
        update(catalogue, tagger, plan(folder, place, tagger))
        vocabulary = tagger.vocabulary(["red", "blue", "green", "grey"])
        TaggedFolder(catalogue, tagger, vocabulary, Rule(top_k=3), str(toy_run)).remember()
    return folder


@pytest.fixture(scope="module")
def client(library: Path, toy_run: Path) -> Iterator[TestClient]:
    from zerotag.tagging.tagged import opened

    with opened(library) as folder:
        service = Service(str(toy_run), folder.tagger, folder.vocabulary.words, folder)
        app = create_app(service, bodies=Bodies(max_bytes=200_000))
        with TestClient(app, base_url=HERE, raise_server_exceptions=False) as client:
            yield client


@pytest.fixture(scope="module")
def alone(toy_run: Path) -> Iterator[TestClient]:
    """A model without a library."""
    service = Service(str(toy_run), Tagger.load(toy_run))
    with TestClient(create_app(service), base_url=HERE, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(autouse=True)
def no_mistake(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing reaches the server's last resort, which answers 500 and logs a line."""
    yield
    assert [r.getMessage() for r in caplog.get_records("call") if r.name == "zerotag.server.limits"] == []
