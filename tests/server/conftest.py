"""A tagged folder, and a server for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Address, served
from starlette.testclient import TestClient

from zerotag.server.app import create_app
from zerotag.server.bodies import Bodies
from zerotag.server.connections import Connection
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


class Hasty(Connection):
    seconds_for_a_head = 0.4
    seconds_for_a_piece = 0.4
    seconds_for_an_answer = 1.5
    most = 40


@pytest.fixture(scope="module")
def service(toy_run: Path) -> Iterator[Service]:
    service = Service(str(toy_run), Tagger.load(toy_run))
    yield service
    service.close()


@pytest.fixture(scope="module")
def hasty(service: Service) -> Iterator[Address]:
    bodies = Bodies(max_bytes=400_000, max_bytes_in_all=1_000_000, max_waiting=20, seconds=0.4, seconds_in_all=0.8)
    with served(create_app(service, bodies=bodies), Hasty) as address:
        yield address


@pytest.fixture
def nothing_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No client is worth more than a line, and none a traceback."""
    yield
    records = caplog.get_records("call")
    assert [r.getMessage() for r in records if r.exc_info or r.levelno > logging.WARNING] == []


@pytest.fixture
def large(service: Service, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """An answer that no buffer of the system holds."""
    content = bytes(30 * 2**20)
    monkeypatch.setattr(Service, "exported", lambda *_: content)
    return content
