"""What the server does, apart from HTTP: a model and, where there is one, a tagged folder, for one call at a time."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from zerotag.errors import ZerotagError
from zerotag.images import BadPictureError
from zerotag.server import forms
from zerotag.server.names import Names
from zerotag.server.served import GoneError, ServedFolder, Shown
from zerotag.tagging.readers import (
    DIGEST_BYTES,
    Decoded,
    Readers,
    Refusal,
    decoded,
    decoded_bytes,
    digest_of,
    thumbnail,
)
from zerotag.tagging.search import Query
from zerotag.tagging.tagged import TaggedFolder
from zerotag.tagging.tagger import Tag, Tagger
from zerotag.tagging.words import Vocabulary, WordList

THUMBNAIL_PX = 480
SENT = Path("that was sent")

Result = TypeVar("Result")


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
        self.model, self.tagger = model, tagger
        self.vocabulary = tagger.vocabulary(words, allow_missing=True)
        self._library = None if library is None else ServedFolder(library)
        self.names = Names() if library is None else Names.of(library.catalogue)
        self._readers = Readers()
        self._using_model, self._setting_words = threading.Lock(), threading.Lock()

    def close(self) -> None:
        """Stop the worker processes, and close the catalogue."""
        self._readers.close()
        if self._library is not None:
            self._library.close()

    @property
    def library(self) -> ServedFolder:
        """The tagged folder.

        Raises:
            ZerotagError: a model is served without one.
        """
        if self._library is None:
            raise ZerotagError("this server knows a model and no pictures; start it with: zerotag serve CATALOGUE")
        return self._library

    def health(self) -> forms.Health:
        """What is served."""
        pictures, folder = (0, None) if self._library is None else self._library.number()
        return forms.Health(
            model=self.model,
            calibrated=self.tagger.calibration is not None,
            heat_maps=self.tagger.network.model.has_heat_maps,
            pictures=pictures,
            folder=None if folder is None else str(folder),
        )

    def labels(self) -> list[forms.KnownWord]:
        """The words that pictures are tagged with."""
        return [forms.KnownWord.model_validate(word.model_dump()) for word in self.vocabulary.words.words]

    def set_labels(self, words: Sequence[forms.Word]) -> forms.Missing:
        """Other words; those without a vector are left out and told of.

        Raises:
            ZerotagError: a word comes twice, or none has a vector.
        """
        wanted = WordList.of_plain(word.model_dump(exclude_defaults=True) for word in words)
        with self._setting_words:
            with self._using_model:
                vocabulary = self.tagger.vocabulary(wanted, allow_missing=True)
            if self._library is not None:
                self._library.keep_words(vocabulary)
            with self._using_model:
                self.vocabulary = vocabulary
                if self._library is not None:
                    self._library.use_words(vocabulary)
        return forms.Missing(missing=list(vocabulary.missing))

    def tag(self, content: bytes, labels: Sequence[str], top_k: int) -> forms.Tagged:
        """Tags of a picture that was sent, with the words that are set or with others.

        Its name is that by which the library has it, if it does: who may ask may list the library as well.
        """
        picture = self._uploaded(content)
        with self._using_model:
            vocabulary = self.tagger.vocabulary(list(labels), allow_missing=True) if labels else self.vocabulary
            scores = self.tagger.scores(self.tagger.embed_pixels(picture.pixels), vocabulary)
            confidences = self.tagger.confidences(scores, vocabulary)
            (tags,) = self.tagger.rank(scores, vocabulary, top_k=top_k, confidences=confidences)
        told = _told(tags, vocabulary)
        return forms.Tagged(digest=self.names.name(picture.digest), tags=told, missing=list(vocabulary.missing))

    def explain(self, label: str, digest: str | None, content: bytes) -> forms.Explained:
        """Where in a picture a label's score comes from: a map brought to [0, 1].

        Args:
            label: what is looked for.
            digest: name of a picture of the library, or None for one that was sent.
            content: the picture that was sent.

        Raises:
            ZerotagError: the model has no heat maps, or the label no vector.
        """
        self.tagger.require_heat_maps()
        pixels = self._uploaded(content).pixels if digest is None else self._batch(self._decoded(digest))
        with self._using_model:
            (heat,) = self.tagger.heat_maps_of_pixels(pixels, [label])[0]
        span = float(np.ptp(heat)) or 1.0
        return forms.Explained(label=label, heat=np.round((heat - heat.min()) / span, 4).tolist())

    def search(self, words: Sequence[str], like: Sequence[str], top: int) -> list[forms.Match]:
        """Pictures of the library that match, best first."""
        side = self.tagger.backbone.preprocessing.size_px
        pictures = [Image.frombytes("RGB", (side, side), self._decoded(digest).pixels) for digest in like]
        with self._using_model:
            found = self.library.search(Query.of(words, pictures), top)
        return [forms.Match(path=path, digest=self.names.name(digest), match=match) for path, digest, match in found]

    def pictures(self, start: int, number: int) -> forms.Pictures:
        """Some pictures of the library with their tags and what people said of these."""
        with self._using_model:
            total, shown = self.library.shown(start, number)
            return forms.Pictures(total=total, pictures=[self._row(one) for one in shown])

    def picture(self, digest: str) -> forms.LibraryPicture:
        """One picture of the library with its tags and what people said of these.

        Raises:
            GoneError: the library has no such picture.
        """
        with self._using_model:
            return self._row(self.library.shown_one(self.names.digest(digest)))

    def thumbnail(self, digest: str) -> bytes:
        """A picture of the library, made small, as JPEG.

        Raises:
            GoneError: the library has no such picture, or its file was deleted, changed or locked away since.
        """
        return self._of_library(digest, partial(thumbnail, side_px=THUMBNAIL_PX))

    def judge(self, digest: str, label: str, accepted: bool | None) -> None:
        """Keep that a label is right or wrong for a picture; None takes that back."""
        self.library.judge(self.names.digest(digest), label, accepted)

    def exported(self, form: str) -> bytes:
        """The library's tags in a format.

        Raises:
            UnknownNameError: there is no such format.
        """
        with self._using_model:
            return self.library.exported(form)

    def _uploaded(self, content: bytes) -> Uploaded:
        """A picture that was sent, decoded in a worker process."""
        pixels = self._batch(self._read(partial(decoded_bytes, **self._square()), content, SENT))
        return Uploaded(hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest(), pixels)

    def _decoded(self, digest: str) -> Decoded:
        """A picture of the library as the backbone takes it."""
        return self._of_library(digest, partial(decoded, **self._square()))

    def _of_library(self, digest: str, read: Callable[[Path], Result]) -> Result:
        """What a worker process makes of a picture's file, after a look that its content is still the one meant."""
        content = self.names.digest(digest)
        place = self.library.place(content)
        if not place.exists():
            raise GoneError(f"the picture {place} is there no more; to bring the library up to date, run: zerotag tag")
        try:
            if self._read(digest_of, place, place) != content:
                raise GoneError(f"the picture {place} was changed since it was tagged; run: zerotag tag")
            return self._read(read, place, place)
        except BadPictureError as error:
            raise GoneError(str(error)) from error

    def _read(self, read: Callable[[Any], Result], item: Path | bytes, place: Path) -> Result:
        outcome = self._readers.one(read, item)
        if isinstance(outcome, Refusal):
            raise BadPictureError(place, outcome.reason)
        return outcome

    def _square(self) -> dict[str, Any]:
        preprocessing = self.tagger.backbone.preprocessing
        return {"side_px": preprocessing.size_px, "resampling": preprocessing.resampling}

    def _batch(self, picture: Decoded) -> np.ndarray:
        return self.tagger.backbone.preprocessing.batch([picture.pixels])

    def _row(self, one: Shown) -> forms.LibraryPicture:
        tags = _told(one.tags, self.library.folder.vocabulary)
        return forms.LibraryPicture(path=one.path, digest=self.names.name(one.digest), tags=tags, verdicts=one.verdicts)


def _told(tags: Sequence[Tag], vocabulary: Vocabulary) -> list[forms.Tag]:
    words = vocabulary.words
    return [
        forms.Tag(**vars(tag), threshold=words.by_name[tag.label].threshold, above=words.above(tag.label))
        for tag in tags
    ]
