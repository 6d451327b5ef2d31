"""The command line, a verb a job: parse, call, print. Results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import sys

from rich.markup import escape

from zerotag.cli import data, library, research, runs, words
from zerotag.cli.console import app, notes, progress_bars
from zerotag.errors import ZerotagError
from zerotag.memory import keep_freed_memory

__all__ = ["app", "data", "library", "main", "progress_bars", "research", "runs", "words"]


def main() -> None:
    """Run the command line; a user's mistake is one sentence on stderr and exit code 1."""
    keep_freed_memory()
    try:
        app()
    except ZerotagError as error:
        notes.print(f"[red]zerotag:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except OSError as error:  # a place that a person named and that cannot be read or written
        if error.filename is None or error.strerror is None:
            raise
        reason = f"{error.filename}: {error.strerror}; name another place, or see that you may use this one"
        notes.print(f"[red]zerotag:[/red] {escape(reason)}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        notes.print("stopped; the same command goes on from here, with --resume where it has one")
        sys.exit(130)
