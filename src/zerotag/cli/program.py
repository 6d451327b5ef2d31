"""All commands, and how the program ends: well, with one sentence, or stopped."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

from zerotag.cli import data, library, research, runs, tagging, words
from zerotag.cli.console import Status, app, note_error
from zerotag.cli.streams import endure, lost_output
from zerotag.errors import ZerotagError
from zerotag.memory import keep_freed_memory

__all__ = ["app", "data", "library", "research", "run", "runs", "tagging", "words"]

GOES_ON = "the same command goes on from here"
WHEN_STOPPED = {
    "tag": GOES_ON,
    "untag": GOES_ON,
    "features": GOES_ON,
    "data build": GOES_ON,
    "train": "with --resume, the same command goes on from the last epoch that was finished",
    "tune": GOES_ON,
    "bench": GOES_ON,
    "study": GOES_ON,
}


def run() -> None:
    """Run the command that the arguments name, and exit with its status."""
    endure()
    _leave_cleanly_on(signal.SIGTERM)
    if hasattr(signal, "SIGHUP"):
        _leave_cleanly_on(signal.SIGHUP)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    keep_freed_memory()
    status = _status()
    if (reason := lost_output()) is not None:
        note_error(f"not all of the output could be written ({reason}); what the command itself had to do is done")
        status = status if status not in (Status.GOOD, Status.SOME_FAILED) else Status.FAILED
    sys.exit(status)


def _status() -> int:
    try:
        app()
    except SystemExit as done:
        if done.code == Status.STOPPED:
            return _stopped()
        return done.code if isinstance(done.code, int) else Status.GOOD
    except ZerotagError as error:
        note_error(str(error))
        return Status.FAILED
    except OSError as error:  # a place that a person named and that cannot be read or written
        if error.filename is None or error.strerror is None:
            raise
        note_error(f"{error.filename}: {error.strerror}; {_remedy(str(error.filename))}")
        return Status.FAILED
    except KeyboardInterrupt:
        return _stopped()
    return Status.GOOD


def _remedy(place: str) -> str:
    from zerotag.storage import CACHE, cache_folder

    try:
        is_cached = Path(place).is_relative_to(cache_folder())
    except ZerotagError:
        is_cached = False
    if is_cached:
        return f"set {CACHE} to a folder where you may write"
    return "name another place, or see that you may use this one"


def _stopped() -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever presses Ctrl-C again need not wait
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    how = next((how for command, how in WHEN_STOPPED.items() if words[: len(command.split())] == command.split()), None)
    note_error("stopped" if how is None else f"stopped; {how}")
    return Status.STOPPED


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Stop on Ctrl-C; at once while modules are imported, since an exception inside torch's own start kills it."""
    place = frame
    while place is not None:
        if place.f_code.co_filename.startswith("<frozen importlib"):
            _stopped()
            sys.stderr.flush()
            os._exit(Status.STOPPED)
        place = place.f_back
    signal.default_int_handler(number, frame)


def _leave_cleanly_on(number: signal.Signals) -> None:
    """Let a signal that would kill the process unwind it instead, so that no half-written file is left."""

    def leave(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        sys.exit(128 + number)

    if signal.getsignal(number) is signal.SIG_DFL:
        signal.signal(number, leave)
