"""What the server does, apart from HTTP: a model and, where there is one, a catalogue, used by one call at a time."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from zerotag.errors import ZerotagError
from zerotag.images import BadPictureError
from zerotag.tagging.catalogue import Catalogue
from zerotag.tagging.export import export
from zerotag.tagging.folder import FolderTags, Rule
from zerotag.tagging.readers import DIGEST_BYTES, Readers, Refusal, decoded_bytes, thumbnail
from zerotag.tagging.search import Index, Query
from zerotag.tagging.tagged import TaggedFolder
from zerotag.tagging.tagger import Tag, Tagger
from zerotag.tagging.words import Vocabulary, WordList

TOP_K = 20
THUMBNAIL_PX = 480


@dataclass(frozen=True)
class Uploaded:
    """A picture that was sent: the digest of its content, and its pixels as the backbone takes them."""

    digest: bytes
    pixels: np.ndarray


class Service:
    """Tags, searches and explains.

    Args:
        model: its name, for people.
        tagger: the model.
        words: that pictures are tagged with until others are set; the model's own when left out.
        library: a tagged folder, or None to serve a model alone.
    """

    def __init__(
        self, model: str, tagger: Tagger, words: WordList | None = None, library: TaggedFolder | None = None
    ) -> None:
        self.model, self.tagger, self.library = model, tagger, library
        self.vocabulary = tagger.vocabulary(words, allow_missing=True)
        self.rule = library.rule if library else Rule(top_k=TOP_K)
        self._readers = Readers()
        self._index: Index | None = None
        self._tags: FolderTags | None = None
        self._using_model = threading.Lock()

    def close(self) -> None:
        """Stop the worker processes."""
        self._readers.close()

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue.

        Raises:
            ZerotagError: a model is served without one.
        """
        if self.library is None:
            raise ZerotagError("this server knows a model and no pictures; start it with: zerotag serve CATALOGUE")
        return self.library.catalogue

    def health(self) -> dict[str, Any]:
        """What is served."""
        pictures = 0 if self.library is None else len(self.catalogue.digests(self.tagger.identity))
        return {
            "status": "ok",
            "model": self.model,
            "calibrated": self.tagger.calibration is not None,
            "heat_maps": self.tagger.network.model.has_heat_maps,
            "pictures": pictures,
            "folder": None if self.library is None else str(self.catalogue.folder),
        }

    def labels(self) -> list[dict[str, Any]]:
        """The words that pictures are tagged with."""
        return self.vocabulary.words.to_plain()

    def set_labels(self, plain: Sequence[dict[str, Any]]) -> list[str]:
        """Other words; those without a vector are left out and told of.

        Raises:
            ZerotagError: a word comes twice, or none has a vector.
        """
        with self._using_model:
            self.vocabulary = self.tagger.vocabulary(WordList.of_plain(plain), allow_missing=True)
            self._tags = None
            if self.library is not None:
                self.library = replace(self.library, vocabulary=self.vocabulary)
                self.library.remember()
        return list(self.vocabulary.missing)

    def uploaded(self, content: bytes) -> Uploaded:
        """A picture that was sent, decoded in a worker process.

        Raises:
            BadPictureError: it cannot be decoded.
        """
        preprocessing = self.tagger.backbone.preprocessing
        read = partial(decoded_bytes, side_px=preprocessing.size_px, resampling=preprocessing.resampling)
        outcome = self._readers.one(read, content)
        if isinstance(outcome, Refusal):
            raise BadPictureError(Path("that was sent"), outcome.reason)
        pixels = preprocessing.batch([outcome.pixels])
        return Uploaded(hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest(), pixels)

    def tag(self, content: bytes, labels: Sequence[str] | None, top_k: int) -> dict[str, Any]:
        """Tags of a picture that was sent, with the words that are set or with others."""
        picture = self.uploaded(content)
        with self._using_model:
            vocabulary = self.tagger.vocabulary(list(labels), allow_missing=True) if labels else self.vocabulary
            scores = self.tagger.scores(self.tagger.embed_pixels(picture.pixels), vocabulary)
            confidences = self.tagger.confidences(scores, vocabulary)
            (tags,) = self.tagger.rank(scores, vocabulary, top_k=top_k, confidences=confidences)
        return {"digest": picture.digest.hex(), "tags": self._told(tags, vocabulary), "missing": vocabulary.missing}

    def explain(self, content: bytes, label: str) -> dict[str, Any]:
        """Where in a picture a label's score comes from: a map brought to [0, 1].

        Raises:
            ZerotagError: the model has no heat maps, or the label no vector.
        """
        self.tagger.require_heat_maps()
        picture = self.uploaded(content)
        with self._using_model:
            (heat,) = self.tagger.heat_maps_of_pixels(picture.pixels, [label])[0]
        span = float(np.ptp(heat)) or 1.0
        return {"label": label, "heat": np.round((heat - heat.min()) / span, 4).tolist()}

    def search(self, words: Sequence[str], like: Sequence[str], top: int) -> list[dict[str, Any]]:
        """Pictures of the library that match, best first."""
        paths = [self.catalogue.folder / self._path(digest) for digest in like]
        with self._using_model:
            if self._index is None:
                self._index = Index(self.catalogue, self.tagger)
            found = self._index.search(Query.of(words, paths), top=top)
        digests = self.catalogue.digests_of([match.path for match in found])
        return [{"path": m.path, "digest": d.hex(), "match": m.match} for m, d in zip(found, digests, strict=True)]

    def pictures(self, start: int, number: int) -> dict[str, Any]:
        """Some pictures of the library with their tags and what people said of these."""
        paths = [path for path, file in self.catalogue.files().items() if file.reason is None]
        return {"total": len(paths), "pictures": self._rows(paths[start : start + number])}

    def picture(self, digest: str) -> dict[str, Any]:
        """One picture of the library with its tags and what people said of these.

        Raises:
            ZerotagError: the library has no such picture.
        """
        (row,) = self._rows([self._path(digest)])
        return row

    def thumbnail(self, digest: str) -> bytes:
        """A picture of the library, made small, as JPEG.

        Raises:
            ZerotagError: the library has no such picture.
            BadPictureError: it cannot be decoded any more.
        """
        place = self.catalogue.folder / self._path(digest)
        outcome = self._readers.one(partial(thumbnail, side_px=THUMBNAIL_PX), place)
        if isinstance(outcome, Refusal):
            raise BadPictureError(place, outcome.reason)
        return outcome

    def content(self, digest: str) -> bytes:
        """The file of a picture of the library.

        Raises:
            ZerotagError: the library has no such picture.
        """
        return (self.catalogue.folder / self._path(digest)).read_bytes()

    def judge(self, digest: str, label: str, accepted: bool | None) -> None:
        """Keep that a label is right or wrong for a picture; None takes that back."""
        self._path(digest)
        with self._using_model:
            self.catalogue.judge(bytes.fromhex(digest), label, accepted)

    def exported(self, form: str) -> bytes:
        """The library's tags in a format.

        Raises:
            UnknownNameError: there is no such format.
        """
        assert self.catalogue is not None and self.library is not None
        with self._using_model, TemporaryDirectory() as folder:
            export(self.library.tagging(), Path(folder) / "tags", form)
            return (Path(folder) / "tags").read_bytes()

    def _rows(self, paths: Sequence[str]) -> list[dict[str, Any]]:
        with self._using_model:
            verdicts = self.catalogue.verdicts()
            if self._tags is None:
                self._tags = FolderTags(self.catalogue, self.tagger, self.vocabulary, self.rule)
            tags = dict(self._tags.of(paths))
        digests = self.catalogue.digests_of(paths)
        return [
            {
                "path": path,
                "digest": digest.hex(),
                "tags": self._told(tags[path], self.vocabulary),
                "verdicts": verdicts.get(digest, {}),
            }
            for path, digest in zip(paths, digests, strict=True)
            if path in tags
        ]

    def _path(self, digest: str) -> str:
        """The path of a content, which comes from the catalogue and never from a request."""
        try:
            found = self.catalogue.path_of(bytes.fromhex(digest))
        except ValueError:
            found = None
        if found is None:
            raise ZerotagError(f"the library has no picture {digest[:40]!r}")
        return found

    def _told(self, tags: Sequence[Tag], vocabulary: Vocabulary) -> list[dict[str, Any]]:
        threshold = {word.name: word.threshold for word in vocabulary.words.words}
        return [
            vars(tag) | {"threshold": threshold[tag.label], "above": vocabulary.words.above(tag.label)} for tag in tags
        ]
