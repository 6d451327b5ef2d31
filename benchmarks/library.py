"""A folder of photographs tagged from end to end, beside the model alone; words, and files, by the thousand.

Run: python benchmarks/library.py [RUN [NUMBER]]

RUN is a finished run, or conse-imagenet when left out. 2,000 JPEGs of 12 megapixels are made of 20 different ones, each
with bytes of its own behind its end, so that all are read and computed; or NUMBER of them, for slow models, and then
without the files by the thousand. Each case runs in a process of its own.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from measure import peak_gigabytes
from zerotag.tagging.catalogue import Catalogue
from zerotag.tagging.folder import FolderTags, Rule
from zerotag.tagging.library import update
from zerotag.tagging.plan import plan
from zerotag.tagging.tagger import BATCH_SIZE, Tagger
from zerotag.tagging.words import Word, WordList

PHOTOS, DIFFERENT, SIZE = 2_000, 20, (4_000, 3_000)
MANY_WORDS = 10_000
FEW_FILES, MANY_FILES = 1_000, 100_000


def photographs(folder: Path, number: int) -> None:
    """Files of the size of photographs: smooth grounds with some detail, 2 to 3 MB each."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(DIFFERENT):
        small = Image.fromarray(random.integers(0, 256, (90, 120, 3), np.uint8))
        grain = random.integers(-12, 13, (SIZE[1], SIZE[0], 1))
        pixels = np.clip(np.asarray(small.resize(SIZE, Image.Resampling.BICUBIC)) + grain, 0, 255).astype(np.uint8)
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "JPEG", quality=85)
        for copy in range(number // DIFFERENT):
            (folder / f"{index:02}-{copy:03}.jpg").write_bytes(content.getvalue() + bytes([0, copy]))


def model_alone(model: str, folder: Path) -> float:
    """Seconds that the model takes for as many pictures, which are decoded already."""
    tagger, paths = Tagger.load(model), sorted(folder.iterdir())
    pixels = np.stack([tagger.pixels(path) for path in paths[:BATCH_SIZE]])
    tagger.embed_pixels(pixels)
    batches = len(paths) // BATCH_SIZE
    began = time.perf_counter()
    for _ in range(batches):
        tagger.embed_pixels(pixels)
    return (time.perf_counter() - began) * len(paths) / (batches * BATCH_SIZE)


def decoding_alone(model: str, folder: Path) -> float:
    """Seconds of one core that decoding as many pictures takes."""
    tagger, paths = Tagger.load(model), sorted(folder.iterdir())
    some = paths[:: len(paths) // 40]
    began = time.perf_counter()
    for path in some:
        tagger.pixels(path)
    return (time.perf_counter() - began) * len(paths) / len(some)


def end_to_end(model: str, folder: Path) -> tuple[float, float, float]:
    """Seconds to tag a new folder, seconds to do so again, and seconds with 10,000 words."""
    tagger, place = Tagger.load(model), folder.with_suffix(".zerotag")
    words = WordList(tuple(Word(name=f"word {index}") for index in range(MANY_WORDS)))
    few, many = tagger.vocabulary(["sea", "dog"]), tagger.vocabulary(words)
    times = []
    for vocabulary in (few, few, many):
        began = time.perf_counter()
        with Catalogue(place, folder) as catalogue:
            update(catalogue, tagger, plan(folder, place, tagger))
            for _ in FolderTags(catalogue, tagger, vocabulary, Rule(top_k=10)):
                pass
        times.append(time.perf_counter() - began)
    return times[0], times[1], times[2]


def many_files(model: str, folder: Path, number: int) -> tuple[float, float]:
    """Seconds and peak memory for so many small files, of which a thousand differ."""
    folder.mkdir()
    for index in range(number):
        file = folder / f"{index:06}.png"
        if index < FEW_FILES:
            Image.new("RGB", (16, 16), (index % 256, index // 256, 7)).save(file)
        else:
            os.link(folder / f"{index % FEW_FILES:06}.png", file)
    tagger, place = Tagger.load(model), folder.with_suffix(".zerotag")
    began = time.perf_counter()
    with Catalogue(place, folder) as catalogue:
        update(catalogue, tagger, plan(folder, place, tagger))
        for _ in FolderTags(catalogue, tagger, tagger.vocabulary(["sea", "dog"]), Rule()):
            pass
    return time.perf_counter() - began, peak_gigabytes()


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else "conse-imagenet"
    number = int(sys.argv[2]) if len(sys.argv) > 2 else PHOTOS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "photographs"
        photographs(folder, number)
        megabytes = sum(path.stat().st_size for path in folder.iterdir()) / number / 1e6
        # a process of its own for each, and not a daemon's, which may have no worker processes
        with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
            alone = pool.submit(model_alone, model, folder).result()
            decoding = pool.submit(decoding_alone, model, folder).result()
            first, second, words = pool.submit(end_to_end, model, folder).result()
            files = [] if number != PHOTOS else [FEW_FILES, MANY_FILES]
            costs = [pool.submit(many_files, model, Path(name) / str(each), each).result() for each in files]
    print(f"{model}, {number:,} JPEGs of 12 megapixels, {megabytes:.1f} MB each\n")
    print("| piece of work | seconds | beside the model alone |\n|---|---:|---:|")
    print(f"| the model alone, pictures decoded before | {alone:.1f} | 1 |")
    print(f"| decoding alone, on one core | {decoding:.1f} | {decoding / alone:.2f} |")
    print(f"| a new folder, end to end | {first:.1f} | {first / alone:.2f} |")
    print(f"| the same folder again | {second:.1f} | {second / alone:.2f} |")
    print(f"| the same with {MANY_WORDS:,} words | {words:.1f} | {words / alone:.2f} |")
    if files:
        print("\n| small files, a thousand different | seconds | peak memory, GB |\n|---|---:|---:|")
    for each, (seconds, gigabytes) in zip(files, costs, strict=True):
        print(f"| {each:,} | {seconds:.1f} | {gigabytes:.2f} |")


if __name__ == "__main__":
    main()
