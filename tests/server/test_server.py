"""The server: same scores as the command line, nothing read that should not be, nobody let in or out."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Scope

from zerotag.datasets import load_dataset
from zerotag.server.bodies import Bodies
from zerotag.server.limits import Limits
from zerotag.tagging.from_catalogue import write_dataset
from zerotag.tagging.tagged import opened
from zerotag.tagging.tagger import Tagger

TRAVERSALS = [
    "../" * depth + target
    for depth in range(1, 26)
    for target in ("etc/passwd", "etc/hostname", "proc/self/environ", "pictures.zerotag", "00.png")
]
ENCODED = [text.replace("/", sign) for text in TRAVERSALS for sign in ("%2f", "%5c", "%252f")]


def test_what_is_served(client: TestClient, library: Path) -> None:
    told = client.get("/health").json()
    assert told["status"] == "ok" and told["pictures"] == 48 and told["folder"] == str(library)
    page = client.get("/")
    assert page.status_code == 200 and "default-src 'self'" in page.headers["content-security-policy"]
    assert client.get("/page.js").headers["content-type"].startswith("text/javascript")
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/tag", "/labels", "/search", "/explain", "/health"} <= set(paths)


def test_scores_are_those_of_the_command_line(client: TestClient, library: Path, toy_run: Path) -> None:
    picture = library / "03.png"
    tags = client.post("/tag?top_k=3&label=red&label=pink&label=grey", content=picture.read_bytes()).json()["tags"]
    tagger = Tagger.load(toy_run)
    expected = {tag.label: tag.score for tag in tagger.tag([picture], ["red", "pink", "grey"], top_k=3)[0]}
    assert {tag["label"]: tag["score"] for tag in tags} == {c: pytest.approx(s, rel=1e-5) for c, s in expected.items()}
    assert all(0 <= tag["confidence"] <= 1 for tag in tags)


def test_words_are_set_and_kept(client: TestClient, library: Path) -> None:
    before = client.get("/labels").json()
    words = [{"name": "red", "threshold": 0.25, "parent": "warm"}, {"name": "xylophone"}, {"name": "cyan"}]
    assert client.put("/labels", json=words).json() == {"missing": ["xylophone"]}
    assert [word["name"] for word in client.get("/labels").json()] == ["red", "cyan"]
    tags = client.post("/tag", content=(library / "03.png").read_bytes()).json()["tags"]
    assert {tag["label"]: tag["threshold"] for tag in tags} == {"red": 0.25, "cyan": None}
    assert next(tag for tag in tags if tag["label"] == "red")["above"] == ["warm"]
    with opened(library) as folder:
        assert folder.vocabulary.names == ("red", "cyan")
    assert client.put("/labels", json=[{"name": "red"}, {"name": "red"}]).status_code == 400
    assert client.put("/labels", json=before).status_code == 200


def test_a_heat_map_of_a_picture_that_was_sent_or_is_there(client: TestClient, library: Path) -> None:
    content = (library / "03.png").read_bytes()
    sent = np.array(client.post("/explain?label=red", content=content).json()["heat"])
    digest = client.post("/tag", content=content).json()["digest"]
    there = np.array(client.post(f"/explain?label=red&digest={digest}").json()["heat"])
    np.testing.assert_array_equal(sent, there)
    assert sent.ndim == 2 and sent.min() == 0 and sent.max() == 1
    assert client.post("/explain?label=xylophone", content=content).status_code == 400


def test_search_and_browse(client: TestClient) -> None:
    found = client.post("/search", json={"words": ["red", "-blue"], "top": 5}).json()
    assert len(found) == 5 and [f["match"] for f in found] == sorted((f["match"] for f in found), reverse=True)
    like = client.post("/search", json={"like": [found[0]["digest"]], "top": 1}).json()
    assert like[0]["digest"] == found[0]["digest"]
    page = client.get("/pictures?start=40&number=40").json()
    assert page["total"] == 48 and len(page["pictures"]) == 8 and len(page["pictures"][0]["tags"]) == 3
    small = client.get(f"/picture/{page['pictures'][0]['digest']}")
    assert small.headers["content-type"] == "image/jpeg" and small.content[:2] == b"\xff\xd8"
    assert client.post("/search", json={"words": []}).status_code == 400


def test_verdicts_become_training_labels(client: TestClient, library: Path, tmp_path: Path) -> None:
    first, second, third = client.get("/pictures?number=3").json()["pictures"]
    for picture, label, accepted in (
        (first, "red", True),
        (first, "blue", False),
        (second, "red", True),
        (third, "red", None),
    ):
        said = {"digest": picture["digest"], "label": label, "accepted": accepted}
        assert client.post("/verdict", json=said).json() == {"kept": True}
    assert client.get(f"/picture-tags/{first['digest']}").json()["verdicts"] == {"red": True, "blue": False}
    with opened(library) as folder:
        write_dataset(folder.catalogue, tmp_path / "mine")
    dataset = load_dataset(str(tmp_path / "mine"))
    assert dataset.labels == ("blue", "red") and len(dataset.paths) == 2
    assert sorted(map(tuple, dataset.annotations.tolist())) == [(-1, 1), (0, 1)]
    assert dataset.picture(0).is_file()


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "coco", "label-studio", "fiftyone"])
def test_exports(client: TestClient, form: str) -> None:
    answer = client.get(f"/export?format={form}")
    assert answer.status_code == 200 and "attachment" in answer.headers["content-disposition"]
    assert client.get("/export?format=cvs").status_code == 404


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "content is none of"), (b"%PDF-1.4", "content is none of"), (b"\xff\xd8\xff", "cannot be read")],
)
def test_what_is_no_picture_is_refused(client: TestClient, content: bytes, reason: str) -> None:
    answer = client.post("/tag", content=content)
    assert answer.status_code == 400 and reason in answer.json()["detail"]


def test_a_model_alone_says_that_it_has_no_pictures(alone: TestClient, squares: Path) -> None:
    assert alone.get("/health").json()["folder"] is None
    assert len(alone.post("/tag?top_k=2", content=(squares / "01.png").read_bytes()).json()["tags"]) == 2
    for answer in (alone.get("/pictures"), alone.post("/search", json={"words": ["red"]}), alone.get("/export")):
        assert answer.status_code == 400 and "knows a model and no pictures" in answer.json()["detail"]


@pytest.mark.parametrize("header", [{"host": "evil.example"}, {"host": "127.0.0.1.evil.example"}, {"host": ""},
    {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:9"}])  # fmt: skip
def test_foreign_hosts_and_origins_are_turned_away(client: TestClient, header: dict[str, str]) -> None:
    assert client.get("/health", headers=header).status_code == 403
    assert client.post("/search", json={"words": ["red"]}, headers=header).status_code == 403
    assert client.get("/health", headers={"origin": "http://127.0.0.1"}).status_code == 200


def test_five_hundred_ways_out_lead_nowhere(client: TestClient) -> None:
    secrets = [Path("/etc/passwd").read_bytes()[:40]]
    tried = 0
    for text in [*TRAVERSALS, *ENCODED]:
        for path in (f"/picture/{text}", f"/{text}"):
            answer = client.get(path)
            assert answer.status_code in (400, 404, 405), (path, answer.status_code)
            assert not any(secret in answer.content for secret in secrets)
            tried += 1
    for text in TRAVERSALS:
        said = {"digest": text, "label": "red", "accepted": True}
        assert client.post("/verdict", json=said).status_code == 400
        assert client.post("/explain", params={"label": "red", "digest": text}).status_code == 400
    assert tried >= 500


def test_a_body_that_is_announced_too_large_is_not_read() -> None:
    read = 0

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        raise AssertionError("the application was asked")

    async def receive() -> Message:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [(b"host", b"localhost"), (b"content-length", b"1001")]}
    asyncio.run(Limits(app, bodies=Bodies(max_bytes=1000))(scope, receive, send))
    assert sent[0]["status"] == 413 and read == 0


def test_a_body_that_grows_too_large_is_cut_off(client: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 50_000

    answer = client.post("/tag", content=(piece for piece, _ in zip(endless(), range(100), strict=False)))
    assert answer.status_code == 413


def test_one_request_too_many_is_asked_to_come_again() -> None:
    async def both() -> list[int]:
        waiting, at_work = asyncio.Event(), asyncio.Event()

        async def app(scope: Scope, receive: Any, send: Any) -> None:
            at_work.set()
            await waiting.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        limits, statuses = Limits(app, max_at_once=1), []

        async def ask() -> None:
            async def send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])

            async def receive() -> Message:
                return {"type": "http.request"}

            await limits({"type": "http", "headers": [(b"host", b"localhost:80")]}, receive, send)

        first = asyncio.create_task(ask())
        await at_work.wait()
        await ask()
        waiting.set()
        await first
        await ask()
        return statuses

    assert asyncio.run(both()) == [503, 200, 200]


def test_many_clients_at_once(client: TestClient, library: Path) -> None:
    content = (library / "05.png").read_bytes()
    digest = client.post("/tag", content=content).json()["digest"]

    def some(number: int) -> list[int]:
        asked = [
            client.get("/health"), client.post("/tag?top_k=2", content=content), client.get(f"/picture/{digest}"),
            client.post("/search", json={"words": ["red"], "top": 3}), client.post("/tag", content=b"no picture"),
            client.post(f"/explain?label=red&digest={digest}"), client.get("/pictures?number=5"), client.get("/none"),
        ]  # fmt: skip
        return [answer.status_code for answer in asked]

    with ThreadPoolExecutor(16) as pool:
        statuses = Counter(status for one in pool.map(some, range(16)) for status in one)
    assert set(statuses) <= {200, 400, 404, 503} and statuses[200] >= 6 * 10


def test_openapi_is_plain_json(client: TestClient) -> None:
    assert json.loads(client.get("/openapi.json").text)["info"]["title"] == "zerotag"
