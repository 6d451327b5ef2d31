"""JSON from strangers and from bad disks: read within bounds, or refused with a sentence that says how to go on."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from zerotag.errors import ZerotagError, shown

LARGEST_BYTES = 2**28
DEEPEST = 64


def read_json(file: Path, cure: str) -> Any:
    """The content of a JSON file.

    Args:
        file: The file.
        cure: What the user may do where it is damaged, such as "train the run again".

    Raises:
        ZerotagError: It cannot be read, or does not hold JSON as :func:`parse_json` takes it.
    """
    content = read_bytes(file, cure, LARGEST_BYTES)
    try:
        return parse_json(content)
    except ValueError as error:
        raise damaged(file, str(error), cure) from error


def read_bytes(file: Path, cure: str, largest: int = sys.maxsize) -> bytes:
    """All of a file that is a file, and no pipe, device or folder.

    Raises:
        ZerotagError: It is not there, cannot be read, or is larger than ``largest``.
    """
    try:
        if not file.is_file():
            reason = "it is not a regular file" if file.exists() else "it is not there"
            raise ZerotagError(f"{file} cannot be read: {reason}; {cure}")
        if (size := file.stat().st_size) > largest:
            raise damaged(file, f"it has {size} bytes, and at most {largest} are expected", cure)
        return file.read_bytes()
    except OSError as error:
        raise ZerotagError(f"{file} cannot be read: {error.strerror}; {cure}") from error
    except MemoryError as error:
        raise ZerotagError(f"{file} is larger than the memory that is left; {cure}") from error


def parse_json(content: bytes | str) -> Any:
    """Plain data from JSON in UTF-8, without numbers that are none, names that come twice, or endless nesting.

    Raises:
        ValueError: It is no such JSON; the message says why.
    """
    try:
        text = content if isinstance(content, str) else content.decode()
        plain = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    level = [plain]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inner(outer)]
    if level:
        raise ValueError("it is nested too deep")
    return plain


def damaged(file: Path, reason: str, cure: str) -> ZerotagError:
    """The error for a file that does not hold what it should."""
    return ZerotagError(f"{file} is damaged ({shown(reason)}); {cure}")


def first_fault(error: ValidationError) -> str:
    """Where plain data first are not as they should be, and how they should."""
    fault = error.errors(include_url=False)[0]
    where = ".".join(map(str, fault["loc"]))
    message = fault["msg"].split(" or instance of")[0].replace("Input should", "it should")
    return f"'{where}': {message}" if where else message


def _inner(outer: Any) -> list[Any]:
    if isinstance(outer, dict):
        return list(outer.values())
    return outer if isinstance(outer, list) else []


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"'{next(name for name in found if names.count(name) > 1)}' comes twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a finite number")


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"{text} is too large a number")
    return number
