"""The routes. Their forms are in OpenAPI at ``/openapi.json``; the page is at ``/``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, Field

from zerotag.errors import UnknownNameError, ZerotagError
from zerotag.server.limits import MAX_AT_ONCE, MAX_BODY_BYTES, Limits
from zerotag.server.service import Service
from zerotag.tagging.words import Word

AT_WORK = 4
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
SAFE = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
MEDIA = {
    "csv": "text/csv",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
}


class Tag(BaseModel):
    """A label of a picture; ``confidence`` is null where the model was not calibrated."""

    label: str
    score: float
    seen: bool
    confidence: float | None
    threshold: float | None
    above: list[str]


class Tagged(BaseModel):
    """Tags of a picture that was sent; ``missing`` are words without a vector."""

    digest: str
    tags: list[Tag]
    missing: list[str]


class Search(BaseModel):
    """Words, unwanted ones with a minus sign before them, and digests of pictures to resemble."""

    words: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=32)] = []
    like: Annotated[list[str], Field(max_length=8)] = []
    top: Annotated[int, Field(ge=1, le=1000)] = 50


class Verdict(BaseModel):
    """What somebody said of a label of a picture; null takes it back."""

    digest: str
    label: Annotated[str, Field(min_length=1, max_length=200)]
    accepted: bool | None


def create_app(
    service: Service, *, hosts: tuple[str, ...] | None = None, max_body_bytes: int = MAX_BODY_BYTES
) -> FastAPI:
    """The application that serves ``service``."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="zerotag", summary="Tag pictures with any words", lifespan=lifespan, docs_url=None, redoc_url=None
    )
    options: dict[str, Any] = {"max_body_bytes": max_body_bytes, "max_at_once": MAX_AT_ONCE}
    app.add_middleware(Limits, **(options if hosts is None else options | {"hosts": hosts}))
    at_work = CapacityLimiter(AT_WORK)

    async def called(function: Any, *arguments: Any) -> Any:
        return await to_thread.run_sync(lambda: function(*arguments), limiter=at_work)

    @app.exception_handler(ZerotagError)
    async def mistake(_: Request, error: ZerotagError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 404 if isinstance(error, UnknownNameError) else 400)

    for path, name, media in (
        ("/", "page.html", "text/html"),
        ("/page.js", "page.js", "text/javascript"),
        ("/page.css", "page.css", "text/css"),
    ):
        _static(app, path, name, media)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """What is served."""
        found: dict[str, Any] = await to_thread.run_sync(service.health)  # not behind those who wait for the model
        return found

    @app.post("/tag")
    async def tag(
        request: Request,
        label: Annotated[list[str] | None, Query(description="Words; those that are set when left out.")] = None,
        top_k: Annotated[int, Query(ge=1, le=1000)] = 20,
    ) -> Tagged:
        """Tag the picture that is the body."""
        return Tagged.model_validate(await called(service.tag, await request.body(), label, top_k))

    @app.post("/explain")
    async def explain(
        request: Request, label: str, digest: Annotated[str | None, Query(description="Of a library's picture.")] = None
    ) -> dict[str, Any]:
        """Where a label's score comes from, in the picture that is the body, or in one of the library."""
        content = await request.body() if digest is None else await called(service.content, digest)
        found: dict[str, Any] = await called(service.explain, content, label)
        return found

    @app.get("/labels")
    async def labels() -> list[Word]:
        """The words that pictures are tagged with."""
        return [Word.model_validate(word) for word in service.labels()]

    @app.put("/labels")
    async def set_labels(words: Annotated[list[Word], Field(min_length=1, max_length=20_000)]) -> dict[str, list[str]]:
        """Set other words; told are those that have no vector."""
        plain = [word.model_dump(exclude_defaults=True) for word in words]
        return {"missing": await called(service.set_labels, plain)}

    @app.post("/search")
    async def search(query: Search) -> list[dict[str, Any]]:
        """Find pictures of the library by any words."""
        found: list[dict[str, Any]] = await called(service.search, query.words, query.like, query.top)
        return found

    @app.get("/pictures")
    async def pictures(
        start: Annotated[int, Query(ge=0)] = 0, number: Annotated[int, Query(ge=1, le=200)] = 40
    ) -> dict[str, Any]:
        """Some pictures of the library, with their tags."""
        found: dict[str, Any] = await called(service.pictures, start, number)
        return found

    @app.get("/picture-tags/{digest}")
    async def picture_tags(digest: str) -> dict[str, Any]:
        """A picture of the library with its tags."""
        found: dict[str, Any] = await called(service.picture, digest)
        return found

    @app.get("/picture/{digest}")
    async def picture(digest: str) -> Response:
        """A picture of the library, made small."""
        return Response(await called(service.thumbnail, digest), media_type="image/jpeg", headers=FOREVER | SAFE)

    @app.post("/verdict")
    async def verdict(said: Verdict) -> dict[str, bool]:
        """Keep whether a label is right for a picture of the library."""
        await called(service.judge, said.digest, said.label, said.accepted)
        return {"kept": True}

    @app.get("/export")
    async def exported(form: Annotated[str, Query(alias="format")] = "csv") -> Response:
        """The library's tags as a file for another program."""
        content = await called(service.exported, form)
        name = f"tags.{form}" if form in MEDIA else f"tags-{form}.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type=MEDIA.get(form, "application/json"), headers=headers | SAFE)

    return app


def _static(app: FastAPI, path: str, name: str, media: str) -> None:
    """A file of the page; which one is fixed here, and no part of a request names it."""
    content = (resources.files("zerotag") / "server" / "static" / name).read_text(encoding="utf-8")

    @app.get(path, include_in_schema=False, response_class=HTMLResponse)
    async def file() -> Response:
        return Response(content, media_type=media, headers=SAFE)
