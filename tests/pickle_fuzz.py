"""Real pickles, damaged at random, are read to data or refused in a sentence: ``python pickle_fuzz.py SEED NUMBER``.

Memory is limited to little more than the process has to begin with, and each file to seconds.
"""

from __future__ import annotations

import collections
import contextlib
import pickle
import pickletools
import random
import resource
import signal
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

from zerotag.errors import ZerotagError
from zerotag.pickles import read_pickle

MEMORY_BYTES, SECONDS = 2**29, 5
MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4)
VALUES = [
    [MATRIX, MATRIX.astype(np.float64)],
    MATRIX.T,
    np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    {"img_names": ["a/b.jpg", "ž", "x" * 300]},
    np.array(["x", "yy"]),
    np.array([b"x", b"yy"]),
    np.array(["a", None, 3], object),
    np.array([True, False]),
    np.zeros((0, 3)),
    np.float32(2),
    np.str_("x"),
    collections.OrderedDict(a=1, b=[2.5]),
    [None, True, -1, 2**40, 1.5, b"abc", (1, (2, (3,)))],
    {1: {2: {3: []}}},
]
PICKLES = [pickle.dumps(value, protocol) for value in VALUES for protocol in range(6)]
OPCODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
FRAGMENTS = [
    *(b"cos\nsystem\n", b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"c_codecs\nencode\n", b"ios\nsystem\n", b"Pid\n"),
    *(b"\x82\x01", b"h\0", b"h\x01", b"q\0", b"J\xff\xff\xff\xff", b"J\xff\xff\xff\x7f", b"X\x06\0\0\0latin1"),
    *(b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", b"I01\n", b"I99999999999999999999\n", b"L5L\n", b"F1e999\n"),
    *(b"\x95\xff\xff\xff\xff\xff\xff\xff\xff", b"B\xff\xff\xff\xff", b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f"),
    *(b"\x8b\xff\xff\xff\x7f", b"p999999999\n", b"g-1\n", b"U\x02O8", b"U\x02V8", b"S'\\xff'\n", b"V\\ud800\n"),
]


def bounds(pickled: bytes) -> list[int]:
    """Where opcodes begin."""
    found = [0]
    with contextlib.suppress(Exception):  # it may have been damaged before
        for _, _, position in pickletools.genops(pickled):
            found.append(position)
    return found


def damaged(pickled: bytes, draw: random.Random) -> bytes:
    """The same with a few bytes, opcodes or runs of opcodes replaced, cut or put in."""
    for _ in range(draw.randint(1, 4)):
        at = draw.choice(bounds(pickled))
        other = draw.choice([pickled, draw.choice(PICKLES)])
        start, end = sorted(draw.choices(bounds(other), k=2))
        anywhere = draw.randrange(len(pickled) + 1)
        pickled = draw.choice(
            [
                pickled[:anywhere] + bytes([draw.randrange(256)]) + pickled[anywhere + 1 :],
                pickled[:anywhere] + pickled[anywhere + draw.randint(1, 8) :],
                pickled[:at] + draw.choice(FRAGMENTS + OPCODES) * draw.choice((1, 1, 2, 50)) + pickled[at:],
                pickled[:at] + draw.choice(OPCODES) + pickled[at + 1 :],
                pickled[:at] + other[start:end] + pickled[at:],
                pickled[:at] + pickled[max(at, end) :],
            ]
        )
    return pickled


def main(seed: int, number: int) -> None:
    """Read ``number`` damaged pickles; any other error, or a crash, ends the process."""
    warnings.simplefilter("error")
    draw = random.Random(seed)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    read = 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "damaged.pkl"
        for _ in range(number):
            content = damaged(draw.choice(PICKLES), draw)
            file.write_bytes(content)
            signal.alarm(SECONDS)
            try:
                value = read_pickle(file)
                repr(value), pickle.dumps(value)
                read += 1
            except ZerotagError as error:
                assert str(file) in str(error) and "fit into memory" not in str(error), content
            except Exception:
                print(content, file=sys.stderr)
                raise
    assert 0 < read < number
    print(f"{read} of {number} were read")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
