"""Pickle files of other programs, read without running anything: numpy arrays, lists, dicts, texts, numbers alone.

The reader is no unpickler that forbids some names: it looks nothing up and calls nothing that a file names. It walks
the file's opcodes, knows the few forms in which plain data is written, and builds the data itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zerotag.errors import ZerotagError
from zerotag.pickles.opcodes import content_of

__all__ = ["read_pickle"]


def read_pickle(file: Path) -> Any:
    """The content of a pickle file; arrays are read-only.

    Raises:
        ZerotagError: no such file, a damaged one, or one that holds anything but data.
    """
    try:
        if file.exists() and not file.is_file():
            raise ZerotagError(f"{file} is no file, but a folder, a pipe or a device; give a pickle file")
        return content_of(file.read_bytes())
    except OSError as error:
        raise ZerotagError(f"{file} cannot be read ({error.strerror})") from error
    except MemoryError as error:
        raise ZerotagError(f"{file} does not fit into memory") from error
    except ValueError as error:
        raise ZerotagError(f"{file} is no pickle of plain data: {error}") from error
