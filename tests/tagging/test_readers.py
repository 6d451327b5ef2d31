"""Hostile files: none brings anything down, each is listed with its reason, neighbours are unharmed."""

from __future__ import annotations

import io
import os
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import misbehaving
import numpy as np
import pytest
from family_memory import watched
from PIL import Image

from colours import COLOURS
from zerotag.tagging import readers
from zerotag.tagging.catalogue import Catalogue, catalogue_of
from zerotag.tagging.library import update
from zerotag.tagging.plan import plan
from zerotag.tagging.readers import Decoded, Readers, Refusal, decoded, digest_of
from zerotag.tagging.tagger import Tagger

SIDE_PX = 32
read = partial(decoded, side_px=SIDE_PX, resampling=Image.Resampling.BICUBIC)


def test_a_reader_that_hangs_or_dies_costs_one_file(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "hang", "b", "die", "c")]
    with Readers(seconds=1.0, num_workers=2) as readers:
        outcomes = dict(readers.each(misbehaving.read, paths))
    assert [outcomes[tmp_path / name] for name in "abc"] == [b"a", b"b", b"c"]
    assert outcomes[tmp_path / "hang"] == Refusal("reading it took more than 1 seconds")
    died = outcomes[tmp_path / "die"]
    assert isinstance(died, Refusal) and "the process that decoded it died" in died.reason


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that decodes to many pixels of one colour."""
    content = io.BytesIO()
    Image.new("1", (1, 1)).save(content, "PNG")
    raw = content.getvalue()
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    rows = zlib.compressobj(9)
    data = b"".join(rows.compress(b"\0" * (3 * width + 1)) for _ in range(height)) + rows.flush()

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    return raw[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def hostile(folder: Path) -> set[str]:
    """Some 500 bad files in a folder, by name; good pictures of the same sort stand among them."""
    folder.mkdir()
    random = np.random.default_rng(0)
    whole: dict[str, bytes] = {}
    noise = Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8))
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"):
        content = io.BytesIO()
        noise.save(content, kind)
        whole[kind] = content.getvalue()
    files: dict[str, bytes] = {}
    for kind, content in whole.items():
        for cut in range(40):
            files[f"cut-{kind}-{cut}.jpg"] = content[: int(len(content) * cut / 44)]
        for flip in range(40):
            harmed = bytearray(content)
            for place in random.integers(0, min(len(harmed), 200), 12):
                harmed[place] ^= int(random.integers(1, 256))
            files[f"flip-{kind}-{flip}.png"] = bytes(harmed)
    files |= {
        "bomb.png": bomb(60_000, 60_000 // 20),
        "huge.png": bomb(20_000, 12_000),
        "wide.png": bomb(14_000, 14_000),
    }
    files |= {
        "empty.jpg": b"",
        "text.jpg": b"hello",
        "page.jpg": b"%PDF-1.7\n%\xe2\xe3",
        "eps.jpg": b"%!PS-Adobe-3.0 EPSF",
    }
    files |= {"fits.jpg": b"SIMPLE  =                    T" + b" " * 2850, "zero.gif": b"GIF89a" + bytes(7)}
    files |= {"svg.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>", "new\nline.jpg": b"x", "zip.jpg": b"PK\x03\x04"}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    os.mkfifo(folder / "pipe.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "nowhere.jpg").symlink_to("nothing-there")
    (folder / "around").symlink_to(folder)
    (folder / "folder.jpg").mkdir()
    frames = [Image.new("P", (40, 40), index % 200) for index in range(1000)]
    frames[0].save(folder / "frames.gif", save_all=True, append_images=frames[1:])
    return set(files) | {"pipe.jpg", "loop.jpg", "nowhere.jpg"}


def test_five_hundred_hostile_files(toy_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    bad = hostile(folder)
    good = {f"good{index}.png": colour for index, colour in enumerate(COLOURS.values())}
    for name, colour in good.items():
        Image.new("RGB", (50, 50), colour).save(folder / name)
    tagger = Tagger.load(toy_run)
    began = time.perf_counter()
    with Catalogue(catalogue_of(folder), folder) as catalogue, watched() as memory:
        summary = update(catalogue, tagger, plan(folder, catalogue_of(folder), tagger))
        model = catalogue.model(tagger.identity, tagger.vectors_shape)
        beside = catalogue.vectors(model, list(good))
    assert summary.num_files == len(bad) + len(good) + 1 > 500
    assert "frames.gif" not in summary.failures and not summary.failures.keys() & good.keys()
    certain = {name for name in bad if not name.startswith(("cut", "flip"))} - {"bomb.png", "wide.png"}
    assert certain <= summary.failures.keys()
    assert all(summary.failures.values())
    assert sum(name.startswith("cut") for name in summary.failures) > 200
    assert summary.failures["pipe.jpg"] == "no regular file"
    assert "over 200,000,000 pixels" in summary.failures["huge.png"]
    alone = tagger.embed([folder / name for name in good]).numpy()
    np.testing.assert_allclose(beside, alone, atol=5e-3, rtol=1e-2)
    assert time.perf_counter() - began < 120
    print(f"{len(bad)} hostile files: {memory.extra_bytes / 2**20:.0f} MiB more, {(os.cpu_count() or 1)} workers")
    assert memory.extra_bytes <= 2**29 * (os.cpu_count() or 1) + 2**30  # the largest here is of 200 megapixels, a PNG


def test_what_needs_more_memory_is_read_by_the_worker_that_has_more(tmp_path: Path) -> None:
    (tmp_path / "wide.png").write_bytes(bomb(14_000, 14_000))
    with Readers(num_workers=2) as readers:
        ((_, wide),) = readers.each(read, [tmp_path / "wide.png"])
        greedy = readers.one(misbehaving.read, tmp_path / "greedy")
    assert isinstance(wide, Decoded) and (wide.width, wide.height) == (14_000, 14_000)
    assert greedy == b"\0"


def test_memory_of_the_largest_worker_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "LARGE_BYTES", 600 * 2**20)
    (tmp_path / "wide.png").write_bytes(bomb(14_000, 14_000))
    with Readers(num_workers=1) as bounded:
        wide = bounded.one(read, tmp_path / "wide.png")
        greedy = bounded.one(misbehaving.read, tmp_path / "greedy")
    limit = "14000 x 14000 pixels need up to 1,495 MB of memory to be decoded, more than the 600 MB"
    assert isinstance(wide, Refusal) and wide.reason.startswith(limit)
    assert greedy == Refusal("it needs too much memory to be decoded")


def test_damage_is_called_damage_by_every_worker(tmp_path: Path) -> None:
    content = bomb(6000, 6000)
    for name, end in (("small.png", bomb(60, 60)[:-40]), ("large.png", content[: len(content) // 2])):
        (tmp_path / name).write_bytes(end)
    with Readers(num_workers=1) as one:
        outcomes = [one.one(read, tmp_path / name) for name in ("small.png", "large.png")]
    assert all(isinstance(outcome, Refusal) and outcome.reason.startswith("damaged (") for outcome in outcomes)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_what_comes_out_of_a_worker_is_what_the_tagger_reads(kind: str, toy_run: Path, tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 700, 3), np.uint8))
    picture.save(tmp_path / "a", kind)
    tagger = Tagger.load(toy_run)
    preprocessing = tagger.backbone.preprocessing
    with Readers(num_workers=1) as readers:
        each = partial(decoded, side_px=preprocessing.size_px, resampling=preprocessing.resampling)
        ((_, outcome),) = readers.each(each, [tmp_path / "a"])
    assert isinstance(outcome, Decoded) and (outcome.width, outcome.height) == (700, 900)
    pixels = np.frombuffer(outcome.pixels, np.uint8).reshape(tagger.pixels(tmp_path / "a").shape)
    np.testing.assert_array_equal(pixels, tagger.pixels(tmp_path / "a"))


@pytest.mark.parametrize("read_it", [read, digest_of])
def test_a_file_out_of_reach_is_told_from_one_at_fault(read_it: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    os.mkfifo(tmp_path / "pipe.jpg")
    with Readers(num_workers=1) as readers:
        missing = readers.one(read_it, tmp_path / "none.jpg")
        faulty = readers.one(read, tmp_path / "text.jpg")
        pipe = readers.one(digest_of, tmp_path / "pipe.jpg")
    assert missing == Refusal("No such file or directory", is_lasting=False)
    assert isinstance(faulty, Refusal) and faulty.is_lasting
    assert pipe == Refusal("no regular file")


def test_digests_tell_contents_apart(tmp_path: Path) -> None:
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(text)
    a, b, c = (digest_of(tmp_path / name) for name in "abc")
    assert a == b != c and len(a) == 16
