"""A folder of pictures brought into its catalogue: only what is new is read, only new content is computed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from zerotag.errors import ZerotagError
from zerotag.images import SUFFIXES
from zerotag.progress import Progress, silent
from zerotag.tagging.catalogue import Catalogue, Content, File
from zerotag.tagging.readers import SECONDS_A_FILE, Decoded, Readers, Refusal, decoded, digest_of
from zerotag.tagging.tagger import BATCH_SIZE, Tagger

NO_UTF8 = "its name is no UTF-8 text; rename it"
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


@dataclass(frozen=True)
class Plan:
    """What of a folder is to be done.

    Attributes:
        found: every picture's path below the folder.
        new: those to be read.
        gone: paths that the catalogue has and the folder has not.
        failures: of earlier runs, which are not tried again.
    """

    found: list[File]
    new: list[File]
    gone: list[str]
    failures: dict[str, str]


def plan(
    folder: Path,
    place: Path,
    tagger: Tagger,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    retry_failed: bool = False,
) -> Plan:
    """Compare a folder with what its catalogue has of it; files of the same size and time of change are not read.

    Nothing is written, and no catalogue made.

    Args:
        folder: of pictures, with its sub-folders.
        place: of its catalogue, which need not be there.
        tagger: whose vectors are wanted.
        include: patterns such as "*.jpg" or "trips/*", of which a path must match one, if there are any.
        exclude: patterns of which it must match none.
        retry_failed: read again what could not be read.

    Raises:
        ZerotagError: there is no such folder, or no picture in it.
    """
    named = list(_scan(folder, include, exclude))
    found = [file for file in named if _is_text(file.path)]
    if not named:
        kinds = ", ".join(sorted(SUFFIXES))
        raise ZerotagError(f"{folder} holds no pictures (files ending in {kinds}{' that match' if include else ''})")
    earlier: dict[str, File] = {}
    with_vectors: set[bytes] = set()
    if place.exists():
        with Catalogue(place, folder) as catalogue:
            earlier, with_vectors = catalogue.files(), catalogue.digests(tagger.identity)
    new, failures = [], {_escaped(file.path): NO_UTF8 for file in named if not _is_text(file.path)}
    for file in found:
        before = earlier.get(file.path)
        if before is None or (before.size, before.changed_ns) != (file.size, file.changed_ns):
            new.append(file)
        elif before.reason is not None and not retry_failed:
            failures[file.path] = before.reason
        elif before.reason is not None or before.digest not in with_vectors:
            new.append(file)
    paths = {file.path for file in found}
    gone = [path for path in earlier if path not in paths and not os.path.lexists(folder / path)]
    return Plan(found, new, gone, failures)


def _is_text(name: str) -> bool:
    """Whether a file's name can be kept and printed; bytes that are no UTF-8 come as surrogates."""
    return name.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in name)


def _escaped(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


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
            if isinstance(outcome, Decoded) and _stamp(path) != (file.size, file.changed_ns):
                outcome = Refusal(CHANGED)
            if isinstance(outcome, Decoded):
                good.append((file.digest, outcome))
            else:
                for same in self.waiting.pop(file.digest):
                    self._settle(same, file.digest, outcome.reason)
        if not good:
            return
        side = self.tagger.backbone.preprocessing.size_px
        pixels = np.frombuffer(bytearray().join(one.pixels for _, one in good), np.uint8).reshape(-1, side, side, 3)
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


def _scan(folder: Path, include: Sequence[str], exclude: Sequence[str]) -> Iterator[File]:
    """Files that are named as pictures, sorted; hidden ones and linked folders are passed over."""
    if not folder.is_dir():
        raise ZerotagError(f"there is no folder {folder}")
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            relative = path.relative_to(folder).as_posix()
            if include and not _matches(relative, include):
                continue
            if not _matches(relative, exclude):
                yield File(relative, *_stamp(path), None)


def _matches(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(path, pattern) or fnmatch(path.rsplit("/", 1)[-1], pattern) for pattern in patterns)


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of change; zeros for what is not there, such as a link that leads nowhere."""
    try:
        state = path.stat()
    except OSError:
        return 0, 0
    return state.st_size, state.st_mtime_ns
