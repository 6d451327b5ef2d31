"""Pickle files of other programs, read without running anything: numpy arrays, lists, dicts, texts, numbers alone."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from zerotag.errors import ZerotagError

# module (as new and old releases of numpy call it) and name of all that a pickle may ask for
PERMITTED = {
    (module, name)
    for names, modules in (
        (("_reconstruct", "scalar"), ("numpy.core.multiarray", "numpy._core.multiarray")),
        (("_frombuffer",), ("numpy.core.numeric", "numpy._core.numeric")),
        (("ndarray", "dtype"), ("numpy",)),
        (("encode",), ("_codecs",)),
        (("OrderedDict",), ("collections",)),
    )
    for module in modules
    for name in names
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in PERMITTED:
            raise pickle.UnpicklingError(
                f"it asks for '{module}.{name}', which is no array, list, dict, text or number"
            )
        return super().find_class(module, name)


def read_pickle(file: Path) -> Any:
    """The content of a pickle file.

    Raises:
        ZerotagError: no such file, a damaged one, or one that holds anything but data.
    """
    try:
        with file.open("rb") as opened:
            return _Reader(opened, encoding="latin1").load()
    except OSError as error:
        raise ZerotagError(f"{file} cannot be read ({error.strerror})") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise ZerotagError(f"{file} is no pickle of plain data: {error}") from error
