"""Pickles made to kill, fill or hold up whoever reads them: refused in a sentence, soon and in little memory."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from zerotag.errors import ZerotagError
from zerotag.pickles import read_pickle

MANY = 5_000


def text(content: str) -> bytes:
    return b"X" + struct.pack("<I", len(content)) + content.encode()


def raw(content: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(content)) + content


def whole(number: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", number)


def dtype(code: str, size: int = -1, order: str = "<") -> bytes:
    state = b"(K\x03" + text(order) + b"NNN" + whole(size) + whole(-1) + b"K\x00t"
    return b"cnumpy\ndtype\n" + text(code) + b"\x89\x88\x87R" + state + b"b"


def array(kind: bytes, shape: bytes, content: bytes) -> bytes:
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + raw(b"b") + b"tR"
    return empty + b"(K\x01" + shape + kind + b"\x89" + content + b"tb"


FIELDS = b"cnumpy\ndtype\n" + text("V8") + b"\x89\x88\x87R(K\x04" + text("|") + b"N" + text("f") + b"\x85}NK\x08K\x01tb"
LAUGHS = b"\x80\x02]q\x00" + b"".join(b"](" + b"h%c" % n * 10 + b"eq%c" % (n + 1) for n in range(30))
NESTED_KEY = b"\x80\x02}K\x01\x85q\x00" + b"".join(b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(40))
BIG_TEXT = b"\x80\x02" + text("a" * 100_000) + b"q\x00"
BIG_BYTES = b"\x80\x03" + raw(b"a" * 100_000) + b"q\x00"
HOSTILE = {
    "a list of lists of lists, named over and over": LAUGHS + b".",
    "a key that takes for ever to hash": NESTED_KEY + b"K\x01s.",
    "a list that holds itself": b"\x80\x02]q\x00h\x00a.",
    "a dict that holds itself": b"\x80\x02}q\x00K\x01h\x00s.",
    "a deep tuple": b"N" + b"\x85" * MANY + b".",
    "a deep list": b"]" * MANY + b"a" * (MANY - 1) + b".",
    "marks": b"(" * MANY + b"l" * MANY + b".",
    "texts encoded over and over": BIG_TEXT
    + b"("
    + (b"c_codecs\nencode\nh\x00" + text("latin1") + b"\x86R") * MANY
    + b"l.",
    "numbers of the same bytes": BIG_BYTES
    + dtype("S100000", 100_000, "|")
    + b"q\x01("
    + b"cnumpy.core.multiarray\nscalar\nh\x01h\x00\x86R" * MANY
    + b"l.",
    "ordered dicts of the same list": b"("
    + b"(K\x01Nl" * MANY
    + b"lq\x00("
    + b"ccollections\nOrderedDict\nh\x00\x85R" * MANY
    + b"l.",
    "arrays of the same objects": b"("
    + b"N" * MANY
    + b"lq\x00("
    + array(dtype("O8"), whole(MANY) + b"\x85", b"h\x00") * 500
    + b"l.",
    "another codec": b"c_codecs\nencode\n" + text("a") + text("zip") + b"\x86R.",
    "pointers as objects": array(dtype("O8"), b"K\x01\x85", raw(b"A" * 8)) + b".",
    "a pointer as a number": b"cnumpy.core.multiarray\nscalar\n" + dtype("O8") + raw(b"A" * 8) + b"\x86R.",
    "a dtype with fields": array(FIELDS, b"K\x01\x85", raw(b"A" * 8)) + b".",
    "a dtype of another size": array(dtype("U1", 400), b"K\x01\x85", raw(b"A" * 400)) + b".",
    "letters that are none": array(dtype("U1", 4), b"K\x01\x85", raw(b"A" * 4)) + b".",
    "truth values that are none": array(dtype("b1", -1, "|"), b"K\x01\x85", raw(b"A")) + b".",
    "more numbers than bytes": array(dtype("f8"), whole(2**40) + b"\x85", raw(b"A" * 8)) + b".",
    "fewer numbers than bytes": array(dtype("f8"), b"K\x01\x85", raw(b"A" * 16)) + b".",
    "a product beyond 64 bits": array(dtype("f8"), whole(2**32) + whole(2**32) + b"\x86", raw(b"")) + b".",
    "very many rows of nothing": array(dtype("f8"), whole(2**40) + b"K\x00\x86", raw(b"")) + b".",
    "very many texts of no letters": array(dtype("U0", 0), whole(2**40) + b"\x85", raw(b"")) + b".",
    "a negative length": array(dtype("f8"), whole(-1) + b"\x85", raw(b"A" * 8)) + b".",
    "an array in itself": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85"
    + raw(b"b")
    + b"tRq\x00(K\x01K\x01\x85"
    + dtype("O8")
    + b"\x89]h\x00atb.",
    "an array that is not finished": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85"
    + raw(b"b")
    + b"tR.",
    "a class": b"cnumpy\nndarray\n.",
    "an object of a class": b"cnumpy\nndarray\nK\x01\x85\x81.",
    "a state for a function": b"c_codecs\nencode\n}b.",
    "an instance": b"(ios\nsystem\n.",
    "a call of what is on the stack": b"(cos\nsystem\n" + text("true") + b"o.",
    "a name that is built": text("os") + text("system") + b"\x93.",
    "a persistent object": b"Pid\n.",
    "an extension": b"\x82\x01.",
    "a buffer from elsewhere": b"\x80\x05\x97.",
    "bytes without end": b"\x8e" + struct.pack("<Q", 2**62) + b"a.",
    "a number of a million bytes": b"\x8b" + struct.pack("<I", 10**6) + b"\x7f" * 10**6 + b".",
    "a number of a million digits": b"I" + b"9" * 10**6 + b"\n.",
    "a memo of a billion places": b"Nr" + struct.pack("<I", 10**9) + b".",
    "a protocol of the future": b"\x80\x09N.",
    "several pickles": b"N.N.",
    "nothing": b"",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_it_is_refused_soon_and_in_little_memory(tmp_path: Path, what: str) -> None:
    file = tmp_path / "hostile.pkl"
    file.write_bytes(HOSTILE[what])
    tracemalloc.start()
    start = time.monotonic()
    try:
        with pytest.raises(ZerotagError, match=r"is no pickle of plain data: it .* \(at byte") as caught:
            read_pickle(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 600
    assert peak < 120 * len(HOSTILE[what]) + 10**6
    assert time.monotonic() - start < 10


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is Linux's")
def test_damaged_pickles_give_data_or_a_sentence() -> None:
    fuzz = [sys.executable, str(Path(__file__).with_name("pickle_fuzz.py")), "0", "1500"]
    done = subprocess.run(fuzz, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cut.pkl"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        content = pickle.dumps({"names": ["a", "b"], "vectors": np.eye(2)}, protocol)
        for length in range(len(content)):
            file.write_bytes(content[:length])
            with pytest.raises(ZerotagError, match="no pickle of plain data"):
                read_pickle(file)
