"""Odd requests: each is answered, with a sentence where it cannot be answered otherwise."""

from __future__ import annotations

import gzip
import json
import logging
import struct
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from zerotag.server.app import create_app
from zerotag.server.service import Service
from zerotag.tagging.tagger import Tagger

JSON = {"Content-Type": "application/json"}
ODD_TEXTS = ["", " ", "\t\n", "\u3000", "\ud800", "a\udfffb", "\x00", "a\x00b", "\x7f", "x" * 201]
UNKNOWN_DIGESTS = ["", "00", "0" * 32, "f" * 33, "\ud800", "\x00" * 32, "٠" * 32, "../etc/passwd", "x" * 10_000]


def sentence(client: TestClient, method: str, path: str, **options: object) -> tuple[int, str]:
    """Status and sentence of an answer that is no success."""
    answer = client.request(method, path, **options)  # type: ignore[arg-type]  # of many types
    assert answer.headers["content-type"] == "application/json", answer.text
    detail = answer.json()["detail"]
    assert isinstance(detail, str) and 10 < len(detail) < 2000 and "Traceback" not in detail
    return answer.status_code, detail


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_texts_that_are_no_labels(client: TestClient, text: str, library: Path) -> None:
    digest = client.get("/pictures?number=1").json()["pictures"][0]["digest"]
    bodies = [
        ("PUT", "/labels", [{"name": text}]), ("PUT", "/labels", [{"name": "red", "aliases": [text]}]),
        ("PUT", "/labels", [{"name": "red", "parent": text}]), ("POST", "/search", {"words": [text]}),
        ("POST", "/search", {"words": [text, "-x"]}), ("POST", "/search", {"words": ["red", f"-{text}"]}),
        ("POST", "/verdict", {"digest": digest, "label": text, "accepted": True}),
        ("POST", "/verdict", {"digest": digest, text or "?": "red", "accepted": True}),
    ]  # fmt: skip
    for method, path, body in bodies:
        status, _ = sentence(client, method, path, content=json.dumps(body), headers=JSON)
        assert status in (400, 422), body
    for path in ("/tag", "/explain"):
        params = {"label": text.encode("utf-8", "surrogatepass")}
        content = (library / "00.png").read_bytes()
        status, _ = sentence(client, "POST", path, params=params, content=content)
        assert status in (400, 422)


@pytest.mark.parametrize("digest", UNKNOWN_DIGESTS)
def test_digests_of_no_picture(client: TestClient, digest: str) -> None:
    for path, body in [
        ("/verdict", {"digest": digest, "label": "red", "accepted": None}),
        ("/search", {"like": [digest]}),
    ]:
        assert sentence(client, "POST", path, content=json.dumps(body), headers=JSON)[0] in (400, 404, 422)
    text = digest.encode("utf-8", "surrogatepass")
    assert sentence(client, "POST", "/explain", params={"label": "red", "digest": text})[0] in (400, 404, 422)


@pytest.mark.parametrize("path", ["%00", "%ED%A0%80", "..%2f..%2f", "%FF%FE", "a%0D%0Ab: c", "%", "x" * 9000])
def test_paths_that_are_none(client: TestClient, path: str) -> None:
    for folder in ("picture", "picture-tags", "none"):
        assert client.get(f"/{folder}/{path}").status_code in (400, 404, 422)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b"3", b'"words"', b"\xff\xfe", b"\x00", b"\xef\xbb\xbf{}", b'{"words": ["\xff"]}',
        b'{"words": ["red"], "top": NaN}', b'{"words": ["red"], "top": -Infinity}', b'{"words": ["red"], "top": 1e999}',
        b'{"words": ["red"], "top": 1' + b"0" * 10_000 + b"}", b'{"words": ["red"], "top": -5}',
        b'{"words": ["red"], "top": "5"}', b'{"words": ["red"], "top": true}', b'{"words": "red"}',
        b'{"word": ["red"]}', b"[" * 100_000, b'{"words":' * 20_000, b"[" * 20_000 + b"]" * 20_000,
        b'{"words": [' + b'"red",' * 40 + b'"red"]}', b'{"words": ["red"], "words": [" "]}',
        b'{"words": {"\\ud800": 1}}', b'{"\\ud800": 1}', b'{"words": ["\\u0000"]}',
    ],
    ids=lambda body: repr(body[:30]),
)  # fmt: skip
def test_bodies_that_are_no_search(client: TestClient, body: bytes) -> None:
    assert sentence(client, "POST", "/search", content=body, headers=JSON)[0] in (400, 422)


@pytest.mark.parametrize("threshold", ["NaN", "Infinity", "-1", "1.1", "1e400", '"0.5"', "[]"])
def test_thresholds_that_are_no_confidences(client: TestClient, threshold: str) -> None:
    body = f'[{{"name": "red", "threshold": {threshold}}}]'
    assert sentence(client, "PUT", "/labels", content=body, headers=JSON)[0] == 422


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_json_in_other_encodings_is_read_or_refused(client: TestClient, encoding: str) -> None:
    body = json.dumps({"words": ["red"]}).encode(encoding)
    assert client.post("/search", content=body, headers=JSON).status_code in (200, 400, 422)


@pytest.mark.parametrize(
    "query",
    ["start=1" + "0" * 30, "start=1" + "0" * 10_000, "start=-1", "start=NaN", "start=", "start=1&start=x", "number=0",
     "number=1e3", "strat=1", "start=%00", "start=%ED%A0%80", "start=1;number=2", "&" * 5000, "=" * 5000],
    ids=lambda query: query[:20],
)  # fmt: skip
def test_odd_parameters(client: TestClient, query: str) -> None:
    answer = client.get(f"/pictures?{query}")
    assert answer.status_code == (200 if set(query) == {"&"} else 422) and (
        answer.is_success or answer.json()["detail"]
    )


def test_many_labels_and_long_queries(client: TestClient, library: Path) -> None:
    content = (library / "00.png").read_bytes()
    assert client.post("/tag", params={"label": ["red", "blue"] * 2}, content=content).status_code == 400
    assert sentence(client, "POST", "/tag", params={"label": ["red"] * 1001}, content=content)[0] == 422
    assert sentence(client, "POST", "/tag", params={"labels": "red"}, content=content)[0] == 422


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "", "/", "\xe9"]
)
def test_json_of_another_type_is_told_how(client: TestClient, kind: str) -> None:
    headers = {"Content-Type": kind.encode("latin-1")}
    status, detail = sentence(client, "POST", "/search", content=b'{"words": ["red"]}', headers=headers)
    assert status == 415 and "Content-Type: application/json" in detail


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=latin-1", "Application/JSON", "application/problem+json"]
)
def test_json_of_its_type_is_read(client: TestClient, kind: str) -> None:
    assert client.post("/search", content=b'{"words": ["red"]}', headers={"Content-Type": kind}).status_code == 200


@pytest.mark.parametrize(
    "kind", [None, "image/png", "application/x-www-form-urlencoded", "application/json", "nonsense"]
)
def test_a_picture_is_known_by_its_content(client: TestClient, library: Path, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    assert client.post("/tag", content=(library / "00.png").read_bytes(), headers=headers).status_code == 200


def test_bodies_in_parts_and_compressed_ones_are_told_how(client: TestClient, library: Path) -> None:
    content = (library / "00.png").read_bytes()
    for path in ("/tag", "/explain?label=red"):
        status, detail = sentence(client, "POST", path, files={"file": content})
        assert status == 415 and "curl --data-binary" in detail
        for name in ("gzip", "br", "GZIP, identity", "x"):
            status, detail = sentence(
                client, "POST", path, content=gzip.compress(content), headers={"Content-Encoding": name}
            )
            assert status == 415 and "without Content-Encoding" in detail
    assert client.post("/tag", content=content, headers={"Content-Encoding": "identity"}).status_code == 200


def bomb(side: int) -> bytes:
    """A PNG of a few kilobytes that says it has side x side pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    )


def test_pictures_that_blow_up_are_refused(client: TestClient) -> None:
    deep = BytesIO()
    Image.new("1", (15_000, 15_000)).save(deep, "PNG")
    for content in (bomb(2**31 - 1), bomb(60_000), bomb(13_900), deep.getvalue()):
        assert sentence(client, "POST", "/tag", content=content)[0] == 400


def test_head_options_and_other_methods(client: TestClient) -> None:
    for path in ("/", "/health", "/pictures", "/page.js"):
        got, headed = client.get(path), client.head(path)
        assert headed.status_code == 200 and headed.content == b""
        assert headed.headers["content-length"] == got.headers["content-length"]
    assert client.head("/none").status_code == 404 and client.head("/pictures?start=x").status_code == 422
    for method in ("OPTIONS", "DELETE", "PATCH", "TRACE", "PUT", "NONSENSE"):
        status, _ = sentence(client, method, "/health")
        assert status == 405


@pytest.mark.parametrize(
    "host", ["LOCALHOST", "localhost.", "LocalHost:8017", "127.0.0.1:1", "[::1]", "[::1]:80", "127.0.0.1."]
)
def test_names_of_this_machine(client: TestClient, host: str) -> None:
    assert client.get("/health", headers={"host": host}).status_code == 200
    assert client.get("/health", headers={"host": host, "origin": f"http://{host.lower()}"}).status_code == 200


ODD_HOSTS = [
    "localhost@evil", "localhost:x", "localhost:80:80", "[::1", "::1", ".", ":80", "localhost..", "\xe9", "127.0.0.1\t",
    "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0.0.0.0", "0", "127.0.0.2", "[::]", "[::ffff:127.0.0.1]",
    "[0:0:0:0:0:0:0:1]", "[::1%lo]", "localhost.evil.example", "evil.localhost", "127.0.0.1.nip.io", "xn--localhost-",
    "localhost,evil", "localhost evil", "localhost/", "localhost#", "localhost?", "http://localhost",
]  # fmt: skip


@pytest.mark.parametrize("host", ODD_HOSTS)
def test_names_of_no_machine(client: TestClient, host: str) -> None:
    assert sentence(client, "GET", "/health", headers={"host": host.encode("latin-1")})[0] == 403


ODD_ORIGINS = [
    "", "null", "http://[", "http://]", "http://", "//127.0.0.1", "file://", "127.0.0.1", "http://127.0.0.1:x",
    "http://127.0.0.1:99999999", "http://127.0.0.1@evil", "http://evil\\@127.0.0.1", "http://127.0.0.1/", "\xff",
    "http://127.0.0.1, http://evil",
]  # fmt: skip


@pytest.mark.parametrize("origin", ODD_ORIGINS)
def test_odd_origins(client: TestClient, origin: str) -> None:
    headers = {"origin": origin.encode("latin-1")}
    assert sentence(client, "POST", "/search", json={"words": ["red"]}, headers=headers)[0] == 403


def test_the_same_origin_in_other_letters(client: TestClient) -> None:
    for host, origin in [("localhost:80", "http://LOCALHOST"), ("localhost", "http://localhost.:80")]:
        assert client.get("/health", headers={"host": host, "origin": origin}).status_code == 200


@pytest.mark.parametrize(
    "name", ["Host", "Origin", "Content-Length", "Content-Type", "Content-Encoding", "Sec-Fetch-Site"]
)
def test_headers_that_come_twice(client: TestClient, name: str) -> None:
    value = {"Host": "127.0.0.1", "Origin": "http://127.0.0.1", "Content-Length": "0"}.get(name, "x")
    headers = [("Host", "127.0.0.1")] * (name != "Host") + [(name, value)] * 2
    status, detail = sentence(client, "GET", "/health", headers=headers)
    assert status == 400 and name.lower() in detail


@pytest.mark.parametrize("length", ["-1", "x", "1.5", "+5", "", "9" * 18, "9" * 5000, "²"])
def test_odd_lengths(client: TestClient, length: str) -> None:
    headers = {"Content-Length": length.encode("latin-1")}
    assert sentence(client, "POST", "/tag", content=b"", headers=headers)[0] == 413


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", "?"])
def test_pages_of_other_sites_learn_nothing(client: TestClient, site: str) -> None:
    digest = client.get("/pictures?number=1").json()["pictures"][0]["digest"]
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Referer": "http://evil.example/"}
    for path in (f"/picture/{digest}", "/picture/" + "0" * 32, "/export?format=csv", "/none", "/page.js", "/"):
        assert sentence(client, "GET", path, headers=headers)[0] == 403
    link = headers | {"Sec-Fetch-Mode": "navigate"}
    assert client.get("/", headers=link).status_code == 200  # a link that somebody followed
    assert client.get("/export", headers=link).status_code == 403
    for own in ("same-origin", "none"):
        assert client.get(f"/picture/{digest}", headers={"Sec-Fetch-Site": own}).status_code == 200


def test_all_answers_are_for_the_own_page_alone(client: TestClient) -> None:
    asked = [client.get("/"), client.get("/health"), client.get("/none"), client.get("/pictures?start=x"),
             client.post("/tag", content=b"x"), client.get("/health", headers={"host": "evil"}), client.put("/health"),
             client.get("/export"), client.post("/tag", headers={"Content-Length": "9" * 18}, content=b"")]  # fmt: skip
    for answer in asked:
        assert answer.headers["cross-origin-resource-policy"] == "same-origin", answer.status_code
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_too_large_a_body_is_told_on_every_route(client: TestClient) -> None:
    for path in ("/tag", "/search", "/verdict", "/health"):
        answer = client.request("POST", path, content=(b"x" * 1000 for _ in range(201)), headers=JSON)
        assert answer.status_code == 413 and answer.json()["detail"] == "a body may have 200,000 bytes"


def test_a_mistake_of_ours_is_told_in_a_line(
    toy_run: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(str(toy_run), Tagger.load(toy_run))
    monkeypatch.setattr(service, "labels", lambda: 1 // 0)
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client, caplog.at_level(logging.ERROR):
        answer = client.get("/labels")
    assert answer.status_code == 500 and "please report it" in answer.json()["detail"]
    assert caplog.messages == ["GET '/labels': ZeroDivisionError: 'integer division or modulo by zero'"]
    caplog.clear()


def test_errors_of_the_machine_are_no_mistakes_of_ours(toy_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(str(toy_run), Tagger.load(toy_run))
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
        for error in (OSError(28, "No space left on device"), MemoryError()):

            def fail(error: Exception = error) -> None:
                raise error

            monkeypatch.setattr(service, "labels", fail)
            assert sentence(client, "GET", "/labels")[0] == 503
