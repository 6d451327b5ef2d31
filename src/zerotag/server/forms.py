"""What requests and answers look like; their JSON schemas are in OpenAPI."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from zerotag.tagging.export import EXPORTERS

MOST_LABELS = 20_000
MOST_CHARACTERS = 200


def _printable(text: str) -> str:
    if any(ord(sign) < 32 or ord(sign) == 127 or "\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError("a label has neither control characters nor lone surrogates")
    return text


Label = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MOST_CHARACTERS),
    AfterValidator(_printable),
    Field(json_schema_extra={"format": "label"}),
]
Digest = Annotated[
    str,
    Field(
        max_length=MOST_CHARACTERS,
        description="Name of a picture on this server, of 32 hexadecimal digits; its file does not tell it.",
        json_schema_extra={"format": "digest"},
    ),
]
Share = Annotated[float, Field(ge=0, le=1)]


class _Request(BaseModel):
    """A field that is not known is refused, since a misspelt one would change the answer without a word."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TagParameters(_Parameters):
    """How to tag a picture that is sent."""

    label: Annotated[list[Label], Field(max_length=1000, description="Words; those that are set when left out.")] = []
    top_k: Annotated[int, Field(ge=1, le=1000)] = 20


class ExplainParameters(_Parameters):
    """What to explain."""

    label: Label
    digest: Annotated[Digest | None, Field(description="Name of a library's picture.")] = None


class Page(_Parameters):
    """Which pictures of the library to show."""

    start: Annotated[int, Field(ge=0, lt=2**31)] = 0
    number: Annotated[int, Field(ge=1, le=200)] = 40


class ExportParameters(_Parameters):
    """The format of a file for another program."""

    format: Annotated[str, Field(max_length=MOST_CHARACTERS, json_schema_extra={"enum": sorted(EXPORTERS)})] = "csv"


class Word(_Request):
    """A label to tag with: its name, other names for the same, what it is a kind of, and from where it counts."""

    name: Label
    aliases: Annotated[list[Label], Field(max_length=100)] = []
    parent: Label | None = None
    threshold: Share | None = None


class Search(_Request):
    """Words, unwanted ones with a minus sign before them, and names of pictures to resemble."""

    words: Annotated[list[Label], Field(max_length=32)] = []
    like: Annotated[list[Digest], Field(max_length=8)] = []
    top: Annotated[int, Field(ge=1, le=1000)] = 50


class Verdict(_Request):
    """What somebody said of a label of a picture; null takes it back."""

    digest: Digest
    label: Label
    accepted: bool | None


class KnownWord(BaseModel):
    """A label that pictures are tagged with."""

    name: str
    aliases: list[str]
    parent: str | None
    threshold: float | None


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

    digest: Digest
    tags: list[Tag]
    missing: list[str]


class Explained(BaseModel):
    """Where a label's score comes from: rows of numbers in [0, 1]."""

    label: str
    heat: list[list[float]]


class Missing(BaseModel):
    """Words that have no vector, and so were not set."""

    missing: list[str]


class Match(BaseModel):
    """A picture that was found; ``match`` is how far it sticks out, in standard deviations."""

    path: str
    digest: Digest
    match: float


class LibraryPicture(BaseModel):
    """A picture of the library, its tags, and which labels people accepted or rejected."""

    path: str
    digest: Digest
    tags: list[Tag]
    verdicts: dict[str, bool]


class Pictures(BaseModel):
    """Some pictures of the library; ``total`` is the number of all."""

    total: int
    pictures: list[LibraryPicture]


class Kept(BaseModel):
    """A verdict was kept."""

    kept: Literal[True] = True


class Health(BaseModel):
    """What is served."""

    status: Literal["ok"] = "ok"
    model: str
    calibrated: bool
    heat_maps: bool
    pictures: int
    folder: str | None


class Problem(BaseModel):
    """Why a request was not answered, in a sentence."""

    detail: str
