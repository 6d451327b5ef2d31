"""A folder of pictures brought into its catalogue: only what is new is read, only new content is computed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from zerotag.errors import ZerotagError
from zerotag.progress import Progress, silent
from zerotag.tagging.catalogue import Catalogue, Content, File
from zerotag.tagging.plan import CHANGED, Plan
from zerotag.tagging.readers import SECONDS_A_FILE, Decoded, Readers, Refusal, decoded, digest_of
from zerotag.tagging.scan import stamp_of
from zerotag.tagging.tagger import BATCH_SIZE, Tagger

SAVED_AT_ONCE = 256
NOT_FINITE = "the model gives it vectors that are not finite"
FILES_AT_ONCE = 32 * BATCH_SIZE  # copies of a content that is not computed yet wait for it no longer


@dataclass
class Summary:
    """What bringing a folder up to date did, or would do.

    Attributes:
        num_files: pictures that were found.
        num_new: of these, not yet in the catalogue, or changed, or tried again.
        num_computed: contents that the model was asked about.
        num_damaged: contents whose vectors were damaged in the catalogue, so that they were computed again.
        num_gone: files taken out of the catalogue, since they are there no more.
        failures: why pictures have no tags, by path; those of earlier runs too.
        passed_over: number of files that are no pictures by their names, by suffix.
        unlisted: why sub-folders could not be listed, by path; what the catalogue has of them stays.
    """

    num_files: int = 0
    num_new: int = 0
    num_computed: int = 0
    num_damaged: int = 0
    num_gone: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    passed_over: dict[str, int] = field(default_factory=dict)
    unlisted: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, planned: Plan) -> Summary:
        """What is known before the first picture is read."""
        return cls(
            len(planned.found),
            len(planned.new),
            num_gone=len(planned.gone),
            failures=planned.failures,
            passed_over=planned.passed_over,
            unlisted=planned.unlisted | {place: _empty(len(paths)) for place, paths in planned.emptied.items()},
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return vars(self)


def update(
    catalogue: Catalogue,
    tagger: Tagger,
    planned: Plan,
    *,
    seconds_a_file: float = SECONDS_A_FILE,
    progress: Progress = silent,
) -> Summary:
    """Carry a plan out: read what is new, compute what was never seen, write both batch by batch.

    What could not be reached, for want of a right or of a drive, is not written: what the catalogue had of it stays,
    and the next run tries it again. Memory: a few batches of 32 pictures, whatever the number of files.

    Raises:
        ZerotagError: the catalogue cannot be written, or the folder went away.
    """
    catalogue.settle_in_folder()
    catalogue.forget(planned.gone)
    summary = Summary.of(planned)
    if planned.new:
        with Readers(seconds=seconds_a_file) as readers:
            if planned.reread:
                summary.num_damaged = catalogue.drop_damaged(catalogue.model(tagger.identity, tagger.vectors_shape))
            _Update(catalogue, tagger, readers, summary, progress).run(planned.new)
        summary.failures = dict(sorted(summary.failures.items()))
    if planned.emptied:
        _forget_moved(catalogue, planned, summary)
    return summary


def _forget_moved(catalogue: Catalogue, planned: Plan, summary: Summary) -> None:
    """Take out what was moved from a folder that is empty now to another one; the rest may be on a drive."""
    files = catalogue.files()
    elsewhere = {files[file.path].digest for file in planned.found if file.path in files}
    for place, paths in planned.emptied.items():
        moved = [path for path in paths if path not in files or files[path].digest in elsewhere]
        catalogue.forget(moved)
        summary.num_gone += len(moved)
        if len(moved) < len(paths):
            summary.unlisted[place] = _empty(len(paths) - len(moved))
        else:
            del summary.unlisted[place]


def _empty(number: int) -> str:
    return (
        f"it is empty, as where a drive is not connected; its {number} pictures stay in the catalogue until the "
        "empty folder is deleted"
    )


class _Update:
    """One pass over new files; what several files share is computed once."""

    def __init__(
        self, catalogue: Catalogue, tagger: Tagger, readers: Readers, summary: Summary, progress: Progress
    ) -> None:
        self.catalogue, self.tagger, self.readers = catalogue, tagger, readers
        self.summary, self.progress = summary, progress
        self.model = catalogue.model(tagger.identity, tagger.vectors_shape)
        self.known = catalogue.digests(tagger.identity)
        self.settled: list[File] = []
        self.waiting: dict[bytes, list[File]] = {}
        self.done = 0

    def run(self, new: list[File]) -> None:
        self.total = len(new)
        preprocessing = self.tagger.backbone.preprocessing
        read = partial(decoded, side_px=preprocessing.size_px, resampling=preprocessing.resampling)
        for start in range(0, len(new), FILES_AT_ONCE):
            pixels = self.readers.each(read, self._unknown(new[start : start + FILES_AT_ONCE]))
            while batch := list(islice(pixels, BATCH_SIZE)):
                self._compute(batch)
                self._save()
        self._save()

    def _unknown(self, new: Sequence[File]) -> Iterator[Path]:
        """Files to decode: the first one of each content that the model does not know."""
        folder = self.catalogue.folder
        self.by_path = {folder / file.path: file for file in new}
        for path, digest in self.readers.each(digest_of, list(self.by_path)):
            file = self.by_path[path]
            if isinstance(digest, Refusal):
                self._refuse(file, None, digest)
            elif digest in self.known:
                self._settle(file, digest)
            elif digest in self.waiting:
                self.waiting[digest].append(file)
            else:
                self.waiting[digest] = [file]
                self.by_path[path] = File(file.path, file.size, file.changed_ns, digest)
                yield path

    def _compute(self, batch: list[tuple[Path, Decoded | Refusal]]) -> None:
        good: list[tuple[bytes, Decoded]] = []
        for path, outcome in batch:
            file = self.by_path.pop(path)
            assert file.digest is not None
            if stamp_of(path) != (file.size, file.changed_ns):
                outcome = Refusal(CHANGED, is_lasting=False)
            if isinstance(outcome, Decoded):
                good.append((file.digest, outcome))
            else:
                for same in self.waiting.pop(file.digest):
                    self._refuse(same, file.digest, outcome)
        if not good:
            return
        pixels = self.tagger.backbone.preprocessing.batch(one.pixels for _, one in good)
        S = self.tagger.embed_pixels(pixels).half().numpy()
        contents = [Content(d, one.width, one.height, s) for (d, one), s in zip(good, S, strict=True)]
        finite = [content for content in contents if np.isfinite(content.S).all()]
        self._save(finite)
        self.summary.num_computed += len(finite)
        self.known |= {content.digest for content in finite}
        for content in contents:
            for same in self.waiting.pop(content.digest):
                if content.digest in self.known:
                    self._settle(same, content.digest)
                else:
                    self._refuse(same, content.digest, Refusal(NOT_FINITE))

    def _refuse(self, file: File, digest: bytes | None, refusal: Refusal) -> None:
        self.summary.failures[file.path] = refusal.reason
        if refusal.is_lasting and digest is not None:
            self._settle(file, digest, refusal.reason)
            return
        self.done += 1
        if not os.path.isdir(self.catalogue.folder):  # noqa: PTH112 - Path.is_dir raises where a share hangs
            self._save()
            raise ZerotagError(
                f"the folder {self.catalogue.folder} went away while it was read; connect its drive and run the "
                "command again, which goes on from here"
            )

    def _settle(self, file: File, digest: bytes, reason: str | None = None) -> None:
        self.settled.append(File(file.path, file.size, file.changed_ns, digest, reason))
        self.done += 1
        if len(self.settled) >= SAVED_AT_ONCE:
            self._save()

    def _save(self, contents: Iterable[Content] = ()) -> None:
        self.catalogue.save(self.settled, contents, self.model)
        self.settled = []
        self.progress("Tagging pictures", self.done, self.total)
