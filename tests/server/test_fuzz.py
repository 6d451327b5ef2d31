"""The description at ``/openapi.json``, tried out: no request ends in a server error, every answer is as described."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import BaseSchema, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from colours import COLOURS
from zerotag.server.app import create_app
from zerotag.server.service import Service
from zerotag.tagging.readers import digest_of
from zerotag.tagging.tagged import opened

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance, negative_data_rejection,
]  # fmt: skip
PLAIN = [("get", "/health"), ("get", "/labels")]  # nothing in these can be wrong
ROUTES = [
    *PLAIN, ("put", "/labels"), ("post", "/tag"), ("post", "/explain"), ("post", "/search"), ("get", "/pictures"),
    ("get", "/picture-tags/{digest}"), ("get", "/picture/{digest}"), ("post", "/verdict"), ("get", "/export"),
]  # fmt: skip


@pytest.fixture(scope="module")
def description(library: Path, toy_run: Path) -> Iterator[BaseSchema]:
    """The description of a server, for which some words, digests and pictures are those of its library."""
    files = sorted(library.glob("*.png"))[:4]
    pictures = st.sampled_from([file.read_bytes() for file in files]) | st.binary(max_size=50)
    for kind in ("application/octet-stream", "image/jpeg", "image/png"):
        schemathesis.openapi.media_type(kind, pictures)
    schemathesis.openapi.format("label", st.sampled_from([*COLOURS, "-red", "xylophone"]) | st.text())
    with opened(library) as folder:
        service = Service(str(toy_run), folder.tagger, folder.vocabulary.words, folder)
        names = [service.names.name(digest_of(file)) for file in files]
        schemathesis.openapi.format("digest", st.sampled_from([*names, "0" * 32, "x"]))
        yield schemathesis.openapi.from_asgi("/openapi.json", create_app(service, hosts=("testserver",)))
        service.close()


@pytest.fixture(scope="module")
def answers() -> defaultdict[tuple[str, str], set[int]]:
    """Which statuses each route answered with."""
    return defaultdict(set)


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_every_answer_is_as_described(
    route: tuple[str, str],
    mode: GenerationMode,
    description: BaseSchema,
    answers: defaultdict[tuple[str, str], set[int]],
) -> None:
    method, path = route
    if mode is GenerationMode.NEGATIVE and route in PLAIN:
        return

    @settings(max_examples=25, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=description[path][method].as_strategy(generation_mode=mode))
    def ask(case: Case) -> None:
        response = case.call()
        answers[route].add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    ask()


def test_all_routes_are_tried_and_each_gave_what_was_asked_for(
    description: BaseSchema, answers: defaultdict[tuple[str, str], set[int]]
) -> None:
    described = {(one.ok().method, one.ok().path) for one in description.get_all_operations()}
    assert described == set(ROUTES) == {route for route, statuses in answers.items() if 200 in statuses}
    assert set.union(*answers.values()) <= {200, 400, 404, 415, 422}
