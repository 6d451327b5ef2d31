"""Whether a catalogue is whole: its file, its tables, the checksums in it, and what it names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from zerotag.errors import ZerotagError, first_few
from zerotag.findings import Finding
from zerotag.tagging.catalogue import Catalogue
from zerotag.tagging.database import is_folder
from zerotag.tagging.readers import DIGEST_BYTES
from zerotag.tagging.schema import FORMAT
from zerotag.tagging.tagged import TAGGED
from zerotag.tagging.words import WordList

MOST_SHOWN = 3


def check_catalogue(path: Path) -> Iterator[Finding]:
    """Look at all that is in a catalogue; nothing is written."""
    beside = _beside(path)
    try:
        opened = Catalogue(path, reading=True)
    except ZerotagError as error:
        yield Finding("catalogue", "failed", str(error))
        return
    with opened as catalogue:
        old = "" if catalogue.format == FORMAT else ", whose vectors have no checksums"
        yield Finding("catalogue", "ok", f"{path}, of {catalogue.folder}, format {catalogue.format}{old}")
        checks: dict[str, Callable[[Catalogue], str]] = {
            "database": _database,
            "files": _files,
            "vectors": _vectors,
            "XMP files": _sidecars,
            "verdicts": _verdicts,
            "words": _words,
        }
        for name, check in checks.items():
            yield _looked_at(name, check, catalogue)
    yield beside


def _looked_at(name: str, check: Callable[[Catalogue], str], catalogue: Catalogue) -> Finding:
    try:
        return Finding(name, "ok", check(catalogue))
    except ZerotagError as error:
        return Finding(name, "failed", str(error))


def _database(catalogue: Catalogue) -> str:
    if faults := catalogue.faults_of_file():
        raise ZerotagError(
            f"{'; '.join(faults[:MOST_SHOWN])}; set {catalogue.path.name} aside and run: zerotag tag RUN "
            f"{catalogue.folder}"
        )
    return "SQLite finds it whole"


def _files(catalogue: Catalogue) -> str:
    files = catalogue.files()
    if odd := [file.path for file in files.values() if file.digest is not None and len(file.digest) != DIGEST_BYTES]:
        raise ZerotagError(f"digests of another length: {first_few(odd)}; run: zerotag tag --reread RUN FOLDER")
    there = "" if is_folder(catalogue.folder) else f"; the folder {catalogue.folder} is not there"
    return f"{len(files)} named{there}"


def _vectors(catalogue: Catalogue) -> str:
    numbers, of_files = [], {file.digest for file in catalogue.files().values()}
    for model, identity in catalogue.models():
        if damaged := catalogue.damaged(model):
            names = [catalogue.path_of(digest) or digest.hex() for digest in damaged]
            raise ZerotagError(
                f"damaged of {first_few(names)} ({next(iter(damaged.values()))}); compute them again, with: zerotag "
                f"tag --reread RUN {catalogue.folder}"
            )
        digests = catalogue.digests(identity)
        gone = len(digests - of_files)
        numbers.append(f"{len(digests)} as they were written" + (f", {gone} of no file any more" if gone else ""))
    return "; ".join(numbers) or "none"


def _sidecars(catalogue: Catalogue) -> str:
    names = catalogue.sidecars()
    faults = {}
    for name, written in names.items():
        if not written or len(written) % DIGEST_BYTES:
            faults[name] = "a digest of another length"
        try:
            catalogue.sidecar(name)
        except ZerotagError as error:
            faults[name] = str(error)
    if faults:
        raise ZerotagError(f"notes of {first_few(list(faults))} are damaged: {next(iter(faults.values()))}")
    return f"{len(names)} noted"


def _verdicts(catalogue: Catalogue) -> str:
    verdicts = catalogue.verdicts()
    if odd := sum(len(digest) != DIGEST_BYTES for digest in verdicts):
        raise ZerotagError(f"{odd} are of contents whose digests have another length")
    return f"{sum(map(len, verdicts.values()))} of {len(verdicts)} contents"


def _words(catalogue: Catalogue) -> str:
    how = catalogue.remembered(TAGGED)
    if how is None:
        return "none yet"
    try:
        return f"{len(WordList.of_plain(how['words']).words)} to tag with, model {how['model']}"
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ZerotagError(f"they are damaged ({error!r}); run: zerotag tag RUN {catalogue.folder}") from error


def _beside(path: Path) -> Finding:
    """What a process that writes, or that was killed, left beside the file; SQLite reads it back by itself."""
    beside = [place for end in ("-wal", "-shm", "-journal") if (place := path.with_name(f"{path.name}{end}")).exists()]
    names = ", ".join(f"{place.name} ({place.stat().st_size} bytes)" for place in beside)
    return Finding("journal", "ok", f"beside it: {names}" if beside else "none beside it")
