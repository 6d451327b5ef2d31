"""What a pickle of plain data may ask for, and what is made of it: arrays and numbers of NumPy, bytes, ordered dicts.

Nothing of it is looked up in a module: each form is recognised by its very arguments, as NumPy since 1.0 and Python
since 2 write them.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from enum import Enum
from typing import Any

import numpy as np

from zerotag.pickles.allowance import OBJECT, PAIR, Allowance, Refused
from zerotag.pickles.plain import NUMBERS_AND_TEXTS, checked_keys

CODE = re.compile(r"b1|[iu][1248]|f[248]|[SU]\d{1,9}|O[48]?")
MOST_AXES = 64
HIGHEST = {"b": 1, "U": 0x10FFFF}  # what a byte or a letter may be at most, where not everything is allowed


class Asked(Enum):
    """A function or class that a file may name."""

    RECONSTRUCT = "_reconstruct"
    SCALAR = "scalar"
    FROM_BUFFER = "_frombuffer"
    NDARRAY = "ndarray"
    DTYPE = "dtype"
    ENCODE = "encode"
    BYTES = "bytes"
    ORDERED_DICT = "OrderedDict"


MODULES = {
    "numpy": (Asked.NDARRAY, Asked.DTYPE),
    "numpy.core.multiarray": (Asked.RECONSTRUCT, Asked.SCALAR),
    "numpy._core.multiarray": (Asked.RECONSTRUCT, Asked.SCALAR),
    "numpy.core.numeric": (Asked.FROM_BUFFER,),
    "numpy._core.numeric": (Asked.FROM_BUFFER,),
    "_codecs": (Asked.ENCODE,),
    "__builtin__": (Asked.BYTES,),
    "collections": (Asked.ORDERED_DICT,),
}
PERMITTED = {f"{module}.{asked.value}": asked for module, all_asked in MODULES.items() for asked in all_asked}


class Unfinished:
    """An array of which the file has not yet said what it holds.

    Attributes:
        memo_keys: where the file keeps it.
    """

    def __init__(self) -> None:
        self.memo_keys: list[int] = []


class Dtype:
    """The kind of an array's numbers, whose byte order the file says afterwards.

    Raises:
        Refused: it is no kind of plain numbers, texts or bytes.
    """

    def __init__(self, code: str) -> None:
        if not CODE.fullmatch(code):
            raise Refused(f"it has an array of the kind '{code}', which is neither numbers nor texts")
        self.form = np.dtype(code)

    def set_state(self, state: Any) -> None:
        """Take in the byte order.

        Raises:
            Refused: the state is not that of a plain kind, as where it has fields.
        """
        match state:
            case (3, "<" | ">" | "|" | "=" as order, None, None, None, int() as size, int(), int()):
                if size in (-1, self.form.itemsize):
                    self.form = self.form.newbyteorder(order)
                    return
        raise Refused(f"it says of the numbers of an array more than their kind '{self.form}' and byte order")


def called(asked: Any, arguments: Any, allowance: Allowance) -> Any:
    """What a file wants when it calls what it asked for.

    Raises:
        Refused: the arguments are not those of plain data.
    """
    match asked, arguments:
        case Asked.RECONSTRUCT, (Asked.NDARRAY, (0,), b"b" | "b"):
            return Unfinished()
        case Asked.DTYPE, (str() as code, 0, 1):
            return Dtype(code)
        case Asked.SCALAR, (Dtype() as dtype, bytes() | str() as content):
            return array(dtype, (), "C", content, allowance)[()]
        case Asked.FROM_BUFFER, (
            bytes() | bytearray() as content,
            Dtype() as dtype,
            tuple() as shape,
            "C" | "F" as order,
        ):
            return array(dtype, shape, order, content, allowance)
        case Asked.FROM_BUFFER, (
            bytes() | bytearray() as content,
            Dtype() as dtype,
            tuple() as shape,
            "K",
            tuple() as axes,
        ):
            return array(dtype, shape, "C", content, allowance).transpose(axes)
        case Asked.ENCODE, (str() as text, "latin1"):
            return _encoded(text, allowance)
        case Asked.BYTES, ():
            return b""
        case Asked.ORDERED_DICT, ():
            return OrderedDict()
        case Asked.ORDERED_DICT, (list() as pairs,):
            allowance.spend(PAIR * len(pairs))
            if any(type(pair) is not list or len(pair) != 2 for pair in pairs):
                raise Refused("it has an OrderedDict that is not made of pairs")
            return OrderedDict(zip(checked_keys([key for key, _ in pairs]), (value for _, value in pairs), strict=True))
    name = asked.value if isinstance(asked, Asked) else type(asked).__name__
    raise Refused(f"it asks for '{name}' with arguments that no plain data has")


def finished(state: Any, allowance: Allowance) -> np.ndarray:
    """The array of a state.

    Raises:
        Refused: it is not the state of a plain array.
    """
    match state:
        case (1, tuple() as shape, Dtype() as dtype, 0 | 1 as is_fortran, content):
            return array(dtype, shape, "F" if is_fortran else "C", content, allowance)
    raise Refused("it has an array that is not written as NumPy writes one")


def array(dtype: Dtype, shape: tuple[Any, ...], order: Any, content: Any, allowance: Allowance) -> np.ndarray:
    """An array, read-only and without a copy where it holds bytes.

    Raises:
        Refused: shape, kind and content do not fit together.
    """
    if len(shape) > MOST_AXES or any(type(length) is not int or length < 0 for length in shape):
        raise Refused(f"it has an array with {len(shape)} axes, or one whose lengths are no numbers")
    if math.prod(max(length, 1) for length in shape) > allowance.size:
        raise Refused(f"it has an array of the shape {shape}, but the file has {allowance.size:,} bytes")
    count = math.prod(shape)
    if dtype.form.kind == "O":
        return _array_of_objects(shape, count, content, allowance)
    raw = _encoded(content, allowance) if isinstance(content, str) else content
    if not isinstance(raw, bytes | bytearray) or len(raw) != count * dtype.form.itemsize:
        raise Refused(f"it has an array of the shape {shape} and the kind '{dtype.form}' whose bytes do not fill it")
    allowance.spend(len(raw))
    if highest := HIGHEST.get(dtype.form.kind):
        unsigned = np.frombuffer(raw, np.dtype(f"u{4 if highest > 1 else 1}").newbyteorder(dtype.form.byteorder))
        if unsigned.max(initial=0) > highest:
            raise Refused(f"it has an array of the kind '{dtype.form}' with values of another kind")
    made: np.ndarray = np.ndarray(shape, dtype.form, bytes(raw), order=order)
    return made


def _array_of_objects(shape: tuple[int, ...], count: int, content: Any, allowance: Allowance) -> np.ndarray:
    if type(content) is not list or len(content) != count or set(map(type, content)) - NUMBERS_AND_TEXTS:
        raise Refused(f"it has an array of objects of the shape {shape} that are not as many texts or numbers")
    allowance.spend(OBJECT * count)
    made = np.empty(count, object)
    made[:] = content
    made.flags.writeable = False
    return made.reshape(shape)


def _encoded(text: str, allowance: Allowance) -> bytes:
    """The bytes that older pickles hold as text."""
    allowance.spend(len(text))
    return text.encode("latin-1")
