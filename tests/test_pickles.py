"""Pickle files: plain data comes back, anything else is refused before it runs."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from zerotag.errors import ZerotagError
from zerotag.pickles import read_pickle


class Hostile:
    """Asks the reader to call something."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call = (call, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_comes_back(tmp_path: Path, protocol: int) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = {"names": ["a/b.jpg", "ž"], "one": 1, "arrays": [array, np.array(["x", "y"])], "number": np.float32(2)}
    file = tmp_path / "plain.pkl"
    file.write_bytes(pickle.dumps(content, protocol))
    found = read_pickle(file)
    assert found["names"] == content["names"] and found["number"] == 2
    np.testing.assert_array_equal(found["arrays"][0], array)
    assert found["arrays"][1].tolist() == ["x", "y"]


def test_a_pickle_of_python_2_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "old.pkl"
    file.write_bytes(b"(dp0\nS'img_names'\np1\n(lp2\nS'a.jpg'\np3\nas.")
    assert read_pickle(file) == {"img_names": ["a.jpg"]}


def test_hostile_pickles_run_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    calls = [
        Hostile(os.system, f"touch {trace}"),
        Hostile(eval, f"open({str(trace)!r}, 'w')"),
        Hostile(exec, f"open({str(trace)!r}, 'w')"),
        Hostile(getattr, "text", "upper"),
        Hostile(open, str(trace), "w"),
        Hostile(np.load, str(trace)),
        Hostile(np.fromfile, str(trace)),
        [Hostile(__import__, "antigravity")],
        {"img_names": np.array([Hostile(os.mkdir, str(trace))], object)},
    ]
    file = tmp_path / "hostile.pkl"
    for number, call in enumerate(calls):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            file.write_bytes(pickle.dumps(call, protocol))
            with pytest.raises(ZerotagError, match="no pickle of plain data: it asks for"):
                read_pickle(file)
            assert not trace.exists(), number


NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.booleans() | st.none()
TEXTS = st.text() | st.binary()
KINDS = st.sampled_from(["b1", "i1", "<i4", ">i8", "<u2", "<f2", ">f4", "<f8", "<U3", ">U2", "S3"])
ARRAYS = arrays(KINDS, array_shapes(min_dims=0, min_side=0), elements=None).flatmap(
    lambda made: st.sampled_from([made, np.asfortranarray(made), made.T])
)
OBJECTS = st.lists(TEXTS | NUMBERS).map(lambda items: np.array([None, *items], object)[1:])
PLAIN = st.recursive(
    NUMBERS | TEXTS | ARRAYS | OBJECTS | st.sampled_from([np.float32(2), np.int8(1), np.bool_(True), np.str_("x")]),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(NUMBERS | TEXTS, inner, max_size=5)
        | st.dictionaries(st.text(), inner, max_size=5).map(OrderedDict)
    ),
    max_leaves=10,
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        alike = one.dtype == other.dtype and one.shape == other.shape
        return alike and (one.tolist() == other.tolist() if one.dtype == object else one.tobytes() == other.tobytes())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    return bool(one == other)


@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL))
@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=50)
def test_whatever_plain_data_is_written_comes_back(tmp_path: Path, value: Any, protocol: int) -> None:
    file = tmp_path / "plain.pkl"
    file.write_bytes(pickle.dumps(value, protocol))
    found = read_pickle(file)
    assert type(found) is type(value) and same(found, value)


def test_an_array_of_python_2_comes_back(tmp_path: Path) -> None:
    start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\ntcnumpy\ndtype\n"
    kind = b"(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
    file = tmp_path / "old.pkl"
    file.write_bytes(start + kind + b"S'\\x00\\x00\\x80?\\x00\\x00\\x80\\xbf'\ntb.")
    assert read_pickle(file).tolist() == [1, -1]


def test_an_ordered_dict_of_python_2_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "old.pkl"
    file.write_bytes(b"\x80\x02ccollections\nOrderedDict\n]](U\x01aK\x01ea\x85R.")
    assert read_pickle(file) == {"a": 1}


def test_arrays_that_are_shared_stay_shared(tmp_path: Path) -> None:
    array, names = np.eye(2), np.array(["a", None], object)
    file = tmp_path / "shared.pkl"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        file.write_bytes(pickle.dumps([array, names, array, names], protocol))
        first, second, third, fourth = read_pickle(file)
        assert second is fourth and np.shares_memory(first, third)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pkl")
    with pytest.raises(ZerotagError, match="a pipe or a device"):
        read_pickle(tmp_path / "pipe.pkl")


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
def test_any_bytes_are_read_or_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "any.pkl"
    file.write_bytes(content)
    try:
        read_pickle(file)
    except ZerotagError as error:
        assert str(file) in str(error)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ZerotagError, match="cannot be read"):
        read_pickle(tmp_path / "none.pkl")
