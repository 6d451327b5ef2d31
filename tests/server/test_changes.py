"""A library that others change, lock, replace or delete while it is served."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from zerotag.server.app import create_app
from zerotag.server.names import Names
from zerotag.server.service import Service
from zerotag.tagging import database
from zerotag.tagging.catalogue import Catalogue, catalogue_of
from zerotag.tagging.folder import Rule
from zerotag.tagging.library import update
from zerotag.tagging.plan import plan
from zerotag.tagging.tagged import TaggedFolder, opened
from zerotag.tagging.tagger import Tagger

WORDS = ["red", "blue", "green", "grey"]


@dataclass
class Library:
    """A folder of pictures, the source of others, and what tags it."""

    folder: Path
    source: Path
    tagger: Tagger
    run: Path

    @property
    def place(self) -> Path:
        return catalogue_of(self.folder)

    def add(self, *numbers: int) -> None:
        for number in numbers:
            shutil.copy(self.source / f"{number:02}.png", self.folder)

    def tag(self) -> None:
        with Catalogue(self.place, self.folder) as catalogue:
            update(catalogue, self.tagger, plan(self.folder, self.place, self.tagger))
            vocabulary = self.tagger.vocabulary(WORDS)
            TaggedFolder(catalogue, self.tagger, vocabulary, Rule(top_k=3), str(self.run)).remember()


@pytest.fixture(scope="module")
def tagger(toy_run: Path) -> Tagger:
    return Tagger.load(toy_run)


@pytest.fixture
def changing(tagger: Tagger, toy_run: Path, squares: Path, tmp_path: Path) -> Library:
    library = Library(tmp_path / "pictures", squares, tagger, toy_run)
    library.folder.mkdir()
    library.add(*range(6))
    library.tag()
    return library


@pytest.fixture
def client(changing: Library) -> Iterator[TestClient]:
    with opened(changing.folder) as folder:
        service = Service(str(changing.run), folder.tagger, folder.vocabulary.words, folder)
        with TestClient(create_app(service), base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
            yield client


def found(client: TestClient) -> set[str]:
    return {match["path"] for match in client.post("/search", json={"words": ["red"]}).json()}


def everywhere(client: TestClient) -> list[set[str]]:
    """Which pictures each route knows."""
    listed = {picture["path"] for picture in client.get("/pictures").json()["pictures"]}
    exported = {json.loads(line)["path"] for line in client.get("/export?format=jsonl").text.splitlines()}
    return [found(client), listed, exported]


def test_pictures_that_are_added_moved_and_deleted(client: TestClient, changing: Library) -> None:
    assert everywhere(client) == [{f"{n:02}.png" for n in range(6)}] * 3
    changing.add(6, 7)
    changing.tag()
    assert everywhere(client) == [{f"{n:02}.png" for n in range(8)}] * 3
    (changing.folder / "00.png").unlink()
    (changing.folder / "01.png").rename(changing.folder / "moved.png")
    changing.tag()
    assert everywhere(client) == [{"moved.png", *(f"{n:02}.png" for n in range(2, 8))}] * 3
    with Catalogue(changing.place) as catalogue:
        catalogue.forget(catalogue.files())
    answer = client.post("/search", json={"words": ["red"]})
    assert answer.status_code == 400 and "has no pictures of this model" in answer.json()["detail"]
    assert client.get("/pictures").json() == {"total": 0, "pictures": []}
    assert client.get("/export?format=csv").status_code == 200


def test_others_write_while_many_ask(client: TestClient, changing: Library) -> None:
    is_over = threading.Event()

    def come_and_go() -> None:
        with Catalogue(changing.place) as catalogue:
            files = [catalogue.files()[f"{n:02}.png"] for n in (1, 3, 5)]
            while not is_over.is_set():
                catalogue.forget([file.path for file in files])
                catalogue.save(files)

    def ask(number: int) -> set[int]:
        asked = [
            client.post("/search", json={"words": ["red"]}),
            client.get("/pictures"),
            client.get("/export?format=coco"),
            client.put("/labels", json=[{"name": name} for name in WORDS[number % 3 :]]),
        ]
        return {answer.status_code for answer in asked}

    with ThreadPoolExecutor(5) as pool:
        writing = pool.submit(come_and_go)
        statuses = set.union(*pool.map(ask, range(24)))
        is_over.set()
        writing.result()
    assert statuses == {200}


ASKED: list[Callable[[TestClient], object]] = [
    lambda client: client.get("/health"),
    lambda client: client.get("/pictures"),
    lambda client: client.get("/picture/" + "0" * 32),
    lambda client: client.get("/picture-tags/" + "0" * 32),
    lambda client: client.get("/export"),
    lambda client: client.post("/search", json={"words": ["red"]}),
    lambda client: client.put("/labels", json=[{"name": "red"}]),
    lambda client: client.post("/verdict", json={"digest": "0" * 32, "label": "red", "accepted": True}),
]


def details(client: TestClient) -> list[tuple[int, str]]:
    answers = [ask(client) for ask in ASKED]
    return [(answer.status_code, answer.json()["detail"]) for answer in answers]  # type: ignore[attr-defined]  # httpx's


def test_a_catalogue_that_is_deleted_and_made_again(client: TestClient, changing: Library) -> None:
    found(client)
    for suffix in ("", "-wal", "-shm"):
        Path(f"{changing.place}{suffix}").unlink(missing_ok=True)
    assert all(status == 503 and "there is no catalogue" in detail for status, detail in details(client))
    assert client.post("/tag", content=(changing.folder / "00.png").read_bytes()).status_code == 200
    changing.add(6)
    changing.tag()
    assert everywhere(client) == [{f"{n:02}.png" for n in range(7)}] * 3


def test_a_catalogue_that_is_replaced(client: TestClient, changing: Library, tmp_path: Path) -> None:
    found(client)
    other = tmp_path / "other.zerotag"
    with sqlite3.connect(changing.place) as old:
        old.execute(f"VACUUM INTO '{other}'")
    with Catalogue(other) as catalogue:
        catalogue.forget(["02.png"])
    other.replace(changing.place)
    assert everywhere(client) == [{f"{n:02}.png" for n in (0, 1, 3, 4, 5)}] * 3


@pytest.mark.parametrize("content", [b"", b"no catalogue" * 1000])
def test_a_catalogue_that_is_overwritten(
    client: TestClient, changing: Library, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(client)
    monkeypatch.setattr(database, "SECONDS_TO_WAIT", 0.1)
    changing.place.write_bytes(content)
    assert {status for status, _ in details(client)} <= {404, 503}
    changing.place.unlink()
    changing.tag()
    assert everywhere(client) == [{f"{n:02}.png" for n in range(6)}] * 3


def test_a_catalogue_that_another_program_locks(
    client: TestClient, changing: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = client.get("/pictures").json()["pictures"][0]["digest"]
    monkeypatch.setattr(database, "SECONDS_TO_WAIT", 0.1)
    said = {"digest": digest, "label": "red", "accepted": True}
    other = sqlite3.connect(changing.place)
    other.execute("BEGIN EXCLUSIVE")
    assert everywhere(client) == [{f"{n:02}.png" for n in range(6)}] * 3
    for answer in (client.post("/verdict", json=said), client.put("/labels", json=[{"name": "red"}])):
        assert answer.status_code == 503 and "locked" in answer.json()["detail"]
    assert [word["name"] for word in client.get("/labels").json()] == WORDS
    other.close()
    assert client.post("/verdict", json=said).status_code == 200


def refused(client: TestClient, digest: str) -> set[int]:
    asked = [
        client.get(f"/picture/{digest}"),
        client.post(f"/explain?label=red&digest={digest}"),
        client.post("/search", json={"like": [digest]}),
    ]
    assert all("pictures/0" in answer.json()["detail"] for answer in asked)
    return {answer.status_code for answer in asked}


def test_pictures_whose_files_are_gone_or_others(client: TestClient, changing: Library) -> None:
    pictures = {one["path"]: one["digest"] for one in client.get("/pictures").json()["pictures"]}
    changes: list[Callable[[Path], object]] = [
        lambda file: file.unlink(),
        lambda file: file.write_bytes((changing.source / "40.png").read_bytes()),
        lambda file: file.write_bytes(b""),
        lambda file: (file.unlink(), file.mkdir()),
        lambda file: (file.unlink(), os.mkfifo(file)),
        lambda file: (file.unlink(), file.symlink_to(file)),
    ]
    for (path, digest), change in zip(sorted(pictures.items()), changes, strict=True):
        assert client.get(f"/picture/{digest}").status_code == 200
        change(changing.folder / path)
        assert refused(client, digest) == {404}, path
        assert client.get(f"/picture-tags/{digest}").json()["tags"]


def test_the_folder_is_gone(client: TestClient, changing: Library) -> None:
    digest = client.get("/pictures").json()["pictures"][0]["digest"]
    shutil.rmtree(changing.folder)
    assert refused(client, digest) == {404}
    assert everywhere(client) == [{f"{n:02}.png" for n in range(6)}] * 3


def test_a_picture_without_tags_of_this_model(client: TestClient, changing: Library) -> None:
    (changing.folder / "bad.png").write_bytes(b"no picture")
    changing.tag()
    with Catalogue(changing.place) as catalogue:
        digest, names = catalogue.files()["bad.png"].digest, Names.of(catalogue)
    assert digest is not None
    answer = client.get(f"/picture-tags/{names.name(digest)}")
    assert answer.status_code == 404 and "no tags" in answer.json()["detail"]
    assert refused_as_damaged(client, names.name(digest)) == 404


def refused_as_damaged(client: TestClient, digest: str) -> int:
    answer = client.get(f"/picture/{digest}")
    assert "bad.png cannot be read" in answer.json()["detail"]
    return answer.status_code


def test_the_model_and_its_word_vectors_are_gone(
    changing: Library, colour_vectors: Path, toy_run: Path, tmp_path: Path
) -> None:
    run, aside = tmp_path / "run", tmp_path / "aside"
    shutil.copytree(toy_run, run)
    content = (changing.source / "00.png").read_bytes()
    service = Service(str(run), Tagger.load(run))
    with TestClient(create_app(service), base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        shutil.rmtree(run)
        shutil.move(colour_vectors, aside)
        try:
            assert client.post("/tag", content=content).status_code == 200
            answers = [
                client.post("/tag?label=cyan", content=content),
                client.put("/labels", json=[{"name": "cyan"}]),
                client.post("/explain?label=cyan", content=content),
            ]
        finally:
            shutil.move(aside, colour_vectors)
    assert all(a.status_code == 200 or (a.status_code == 400 and a.json()["detail"]) for a in answers)
