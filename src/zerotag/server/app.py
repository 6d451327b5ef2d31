"""The routes. Their forms are in OpenAPI at ``/openapi.json``; the page is at ``/``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib import resources
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import Field

from zerotag.errors import UnknownNameError, ZerotagError
from zerotag.server import forms
from zerotag.server.answers import problem
from zerotag.server.bodies import Bodies
from zerotag.server.limits import Limits
from zerotag.server.origins import LOOPBACK
from zerotag.server.served import GoneError, UnusableError
from zerotag.server.service import Service

AT_WORK = 4
FAULTS_SHOWN = 3
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
MEDIA = {
    "csv": "text/csv",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
}
PROBLEMS = {
    400: "What was asked makes no sense, or a word has no vector, or the picture cannot be read",
    403: "The request came from a page of another site",
    404: "There is no such picture or format, or not any more",
    408: "The body did not come in time",
    413: "The body is too large",
    415: "The body is compressed, in parts, or not of the type that is read here",
    422: "A parameter or a field is missing, unknown or out of its bounds",
    503: "Too many requests at once, or the library cannot be used at the moment",
}
BINARY = {"schema": {"type": "string", "format": "binary"}}
PICTURE_BODY = {
    "requestBody": {"content": dict.fromkeys(("application/octet-stream", "image/jpeg", "image/png"), BINARY)}
}
HOW_TO_SEND = "send the picture itself as the body, as this does: curl --data-binary @picture.jpg"

Result = TypeVar("Result")


def create_app(service: Service, *, hosts: tuple[str, ...] = LOOPBACK, bodies: Bodies | None = None) -> FastAPI:
    """The application that serves ``service``."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="zerotag",
        summary="Tag pictures with any words",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={status: {"model": forms.Problem, "description": why} for status, why in PROBLEMS.items()},
    )
    app.add_middleware(Limits, hosts=hosts, bodies=bodies)
    _explain_mistakes(app)
    at_work = CapacityLimiter(AT_WORK)

    async def called(function: Callable[..., Result], *arguments: Any) -> Result:
        work = partial(function, *arguments)
        return await to_thread.run_sync(work, limiter=at_work, abandon_on_cancel=True)  # the server stops

    for path, name, media in (
        ("/", "page.html", "text/html"),
        ("/page.js", "page.js", "text/javascript"),
        ("/page.css", "page.css", "text/css"),
    ):
        _static(app, path, name, media)

    @app.get("/health")
    async def health() -> forms.Health:
        """What is served."""
        return await to_thread.run_sync(service.health)  # not behind those who wait for the model

    @app.post("/tag", openapi_extra=PICTURE_BODY)
    async def tag(content: Sent, wanted: Annotated[forms.TagParameters, Query()]) -> forms.Tagged:
        """Tag the picture that is the body."""
        return await called(service.tag, content, wanted.label, wanted.top_k)

    @app.post("/explain", openapi_extra=PICTURE_BODY)
    async def explain(content: Sent, wanted: Annotated[forms.ExplainParameters, Query()]) -> forms.Explained:
        """Where a label's score comes from, in the picture that is the body, or in one of the library."""
        return await called(service.explain, wanted.label, wanted.digest, content)

    @app.get("/labels")
    async def labels() -> list[forms.KnownWord]:
        """The words that pictures are tagged with."""
        return service.labels()

    @app.put("/labels")
    async def set_labels(
        words: Annotated[list[forms.Word], Field(min_length=1, max_length=forms.MOST_LABELS)],
    ) -> forms.Missing:
        """Set other words; told are those that have no vector."""
        return await called(service.set_labels, words)

    @app.post("/search")
    async def search(query: forms.Search) -> list[forms.Match]:
        """Find pictures of the library by any words."""
        return await called(service.search, query.words, query.like, query.top)

    @app.get("/pictures")
    async def pictures(page: Annotated[forms.Page, Query()]) -> forms.Pictures:
        """Some pictures of the library, with their tags."""
        return await called(service.pictures, page.start, page.number)

    @app.get("/picture-tags/{digest}")
    async def picture_tags(digest: forms.Digest) -> forms.LibraryPicture:
        """A picture of the library with its tags."""
        return await called(service.picture, digest)

    @app.get("/picture/{digest}", response_class=Response, responses={200: {"content": {"image/jpeg": BINARY}}})
    async def picture(digest: forms.Digest) -> Response:
        """A picture of the library, made small."""
        return Response(await called(service.thumbnail, digest), media_type="image/jpeg", headers=FOREVER)

    @app.post("/verdict")
    async def verdict(said: forms.Verdict) -> forms.Kept:
        """Keep whether a label is right for a picture of the library."""
        await called(service.judge, said.digest, said.label, said.accepted)
        return forms.Kept()

    contents: dict[str, Any] = {"application/json": {"schema": {}}} | dict.fromkeys(MEDIA.values(), BINARY)

    @app.get("/export", response_class=Response, responses={200: {"content": contents}})
    async def exported(wanted: Annotated[forms.ExportParameters, Query()]) -> Response:
        """The library's tags as a file for another program."""
        form = wanted.format
        content = await called(service.exported, form)
        name = f"tags.{form}" if form in MEDIA else f"tags-{form}.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type=MEDIA.get(form, "application/json"), headers=headers)

    return app


async def _sent(request: Request) -> bytes:
    """The picture that is the body of a request."""
    if request.headers.get("content-type", "").strip().lower().startswith("multipart/"):
        raise OtherTypeError(f"bodies in parts are not read; {HOW_TO_SEND}")
    return await request.body()


Sent = Annotated[bytes, Depends(_sent)]


class OtherTypeError(ZerotagError):
    """A body of a type that is not read."""


STATUSES: dict[type[Exception], int] = {
    OtherTypeError: 415,
    UnusableError: 503,
    GoneError: 404,
    UnknownNameError: 404,
    ZerotagError: 400,
}


def _explain_mistakes(app: FastAPI) -> None:
    """Answer what was wrong in a sentence, whoever found it."""

    @app.exception_handler(ZerotagError)
    async def mistake(_: Request, error: ZerotagError) -> JSONResponse:
        return problem(next(status for kind, status in STATUSES.items() if isinstance(error, kind)), str(error))

    @app.exception_handler(RequestValidationError)
    async def misfit(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = error.errors()
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if any(fault["loc"] == ("body",) for fault in faults) and not kind.endswith(("/json", "+json")):
            return problem(415, "the body is read as JSON; send it with the header Content-Type: application/json")
        return problem(422, "; ".join(_sentence(fault) for fault in faults[:FAULTS_SHOWN]))

    @app.exception_handler(OSError)
    async def machine(_: Request, error: OSError) -> JSONResponse:
        return problem(503, f"this machine could not do it ({error.strerror or error})")

    @app.exception_handler(MemoryError)
    async def memory(_: Request, error: MemoryError) -> JSONResponse:
        return problem(503, "there is not enough memory for this; ask for less")


def _sentence(fault: dict[str, Any]) -> str:
    """What is wrong where; without what was sent, which may be long, or no text."""
    where, *inner = fault["loc"]
    if fault["type"] == "json_invalid":
        return f"the body is not valid JSON: {fault['ctx']['error']} at character {inner[0]}"
    name = ".".join(map(str, inner))[: forms.MOST_CHARACTERS]
    return f"'{name}' in the {where}: {fault['msg']}" if inner else f"the {where}: {fault['msg']}"


def _static(app: FastAPI, path: str, name: str, media: str) -> None:
    """A file of the page; which one is fixed here, and no part of a request names it."""
    content = (resources.files("zerotag") / "server" / "static" / name).read_text(encoding="utf-8")

    @app.get(path, include_in_schema=False, response_class=HTMLResponse)
    async def file() -> Response:
        return Response(content, media_type=media)
