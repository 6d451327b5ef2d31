"""A folder of pictures brought into its catalogue: only what is new is read, only new content is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from zerotag.progress import Progress, silent
from zerotag.tagging.catalogue import Catalogue, Content, File
from zerotag.tagging.plan import Plan, stamp_of
from zerotag.tagging.readers import SECONDS_A_FILE, Decoded, Readers, Refusal, decoded, digest_of
from zerotag.tagging.tagger import BATCH_SIZE, Tagger

CHANGED = "it changed while it was read; run the command again"


@dataclass
class Summary:
    """What bringing a folder up to date did, or would do.

    Attributes:
        num_files: pictures that were found.
        num_new: of these, not yet in the catalogue, or changed, or tried again.
        num_computed: contents that the model was asked about.
        num_gone: files taken out of the catalogue, since they are there no more.
        failures: why pictures have no tags, by path; those of earlier runs too.
    """

    num_files: int = 0
    num_new: int = 0
    num_computed: int = 0
    num_gone: int = 0
    failures: dict[str, str] = field(default_factory=dict)

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

    Memory: a few batches of 32 pictures, whatever the number of files.

    Raises:
        ZerotagError: the catalogue cannot be written.
    """
    catalogue.settle_in_folder()
    catalogue.forget(planned.gone)
    summary = Summary(len(planned.found), len(planned.new), num_gone=len(planned.gone), failures=planned.failures)
    if not planned.new:
        return summary
    with Readers(seconds=seconds_a_file) as readers:
        _Update(catalogue, tagger, readers, summary, progress).run(planned.new)
    summary.failures = dict(sorted(summary.failures.items()))
    return summary


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
        preprocessing = self.tagger.backbone.preprocessing
        read = partial(decoded, side_px=preprocessing.size_px, resampling=preprocessing.resampling)
        pixels = self.readers.each(read, self._unknown(new))
        while batch := list(islice(pixels, BATCH_SIZE)):
            self._compute(batch)
            self._save()
            self.progress("Tagging pictures", self.done, len(new))
        self._save()
        self.progress("Tagging pictures", len(new), len(new))

    def _unknown(self, new: list[File]) -> Iterator[Path]:
        """Files to decode: the first one of each content that the model does not know."""
        folder = self.catalogue.folder
        self.by_path = {folder / file.path: file for file in new}
        for path, digest in self.readers.each(digest_of, list(self.by_path)):
            file = self.by_path[path]
            if isinstance(digest, Refusal):
                self._settle(file, None, digest.reason)
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
            if isinstance(outcome, Decoded) and stamp_of(path) != (file.size, file.changed_ns):
                outcome = Refusal(CHANGED)
            if isinstance(outcome, Decoded):
                good.append((file.digest, outcome))
            else:
                for same in self.waiting.pop(file.digest):
                    self._settle(same, file.digest, outcome.reason)
        if not good:
            return
        pixels = self.tagger.backbone.preprocessing.batch(one.pixels for _, one in good)
        S = self.tagger.embed_pixels(pixels).numpy().astype(np.float16)
        contents = [Content(d, one.width, one.height, s) for (d, one), s in zip(good, S, strict=True)]
        self.summary.num_computed += len(contents)
        for digest, _ in good:
            for same in self.waiting.pop(digest):
                self._settle(same, digest)
        self._save(contents)
        self.known |= {digest for digest, _ in good}

    def _settle(self, file: File, digest: bytes | None, reason: str | None = None) -> None:
        self.settled.append(File(file.path, file.size, file.changed_ns, digest, reason))
        self.done += 1
        if reason is not None:
            self.summary.failures[file.path] = reason

    def _save(self, contents: Iterable[Content] = ()) -> None:
        self.catalogue.save(self.settled, contents, self.model)
        self.settled = []
