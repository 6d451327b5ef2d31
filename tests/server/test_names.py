"""Names of pictures: none can be computed from a file, and each leads back."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from zerotag.errors import ZerotagError
from zerotag.server.names import Names
from zerotag.tagging import database
from zerotag.tagging.catalogue import Catalogue
from zerotag.tagging.readers import digest_of

DIGESTS = [number.to_bytes(16, "big") for number in range(2000)]


def test_names_lead_back_and_are_others_with_each_key() -> None:
    names, others = Names(), Names()
    named = [names.name(digest) for digest in DIGESTS]
    assert [names.digest(name.upper()) for name in named] == DIGESTS
    assert len({*DIGESTS, *map(bytes.fromhex, named), *(bytes.fromhex(others.name(d)) for d in DIGESTS)}) == 6000
    for half in (slice(0, 16), slice(16, 32)):
        assert len({name[half] for name in named}) == 2000
    for text in ("", "0" * 31, "x" * 32, "٠" * 32):
        with pytest.raises(ZerotagError, match="32 hexadecimal digits"):
            names.digest(text)


def test_a_catalogue_keeps_its_key(tmp_path: Path) -> None:
    place = tmp_path / "a.zerotag"
    with Catalogue(place, tmp_path) as catalogue:
        name = Names.of(catalogue).name(DIGESTS[1])
    with Catalogue(place) as catalogue:
        assert Names.of(catalogue).name(DIGESTS[1]) == name
        catalogue.remember("picture names", 3)
        assert Names.of(catalogue).name(DIGESTS[1]) != name
    with Catalogue(tmp_path / "b.zerotag", tmp_path) as catalogue:
        assert Names.of(catalogue).name(DIGESTS[1]) != name


def test_a_catalogue_that_cannot_be_written_has_names_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "SECONDS_TO_WAIT", 0.01)
    with Catalogue(tmp_path / "a.zerotag", tmp_path):
        pass
    with Catalogue(tmp_path / "a.zerotag", reading=True) as catalogue:
        assert Names.of(catalogue).name(DIGESTS[1]) != Names.of(catalogue).name(DIGESTS[1])


def test_no_answer_tells_what_a_file_tells(client: TestClient, library: Path) -> None:
    digests = {digest_of(file).hex() for file in library.glob("*.png")}
    content = (library / "00.png").read_bytes()
    name = client.post("/tag", content=content).json()["digest"]
    listed = {one["digest"] for one in client.get("/pictures?number=200").json()["pictures"]}
    found = {one["digest"] for one in client.post("/search", json={"words": ["red"], "top": 48}).json()}
    assert name in listed and listed == found and not listed & digests
    for digest in [*list(digests)[:3], "0" * 32]:
        for answer in (
            client.get(f"/picture/{digest}"),
            client.get(f"/picture-tags/{digest}"),
            client.post("/search", json={"like": [digest]}),
            client.post(f"/explain?label=red&digest={digest}"),
            client.post("/verdict", json={"digest": digest, "label": "red", "accepted": True}),
        ):
            assert answer.status_code == 404 and "of this name" in answer.json()["detail"]
    for form in ("csv", "jsonl", "coco", "label-studio", "fiftyone"):
        text = client.get(f"/export?format={form}").text
        assert not any(digest in text for digest in digests | listed)
