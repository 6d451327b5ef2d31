"""Pickle files: plain data comes back, anything else is refused before it runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
