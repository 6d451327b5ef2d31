"""The command line, a verb a job: parse, call, print. Results go to stdout, progress and errors to stderr.

This module imports next to nothing: each worker process imports it, and Ctrl-C may come at any time.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

__all__ = ["app", "main", "progress_bars"]

_HOMES = {"app": "zerotag.cli.program", "progress_bars": "zerotag.cli.console"}


def main() -> None:
    """Run the command line; a user's mistake is one sentence on stderr and exit status 1."""
    try:
        from zerotag.cli.program import run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'zerotag.cli' has no attribute '{name}'")
