"""Search over 100,000 pictures from their semantic vectors alone: time, memory, and recall beside exact scores.

Run: python benchmarks/search.py RUN [FOLDER]

RUN is a finished run; its vectors are made up, around those of words, as many and as long as the model's. FOLDER, a
temporary one when left out, needs room for them twice.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from measure import peak_gigabytes
from zerotag.tagging.catalogue import Catalogue, Content, File
from zerotag.tagging.search import Index, Query
from zerotag.tagging.tagger import Tagger
from zerotag.tagging.words import named_set
from zerotag.training.network import scores_of

PICTURES, AT_ONCE, TOP, QUERIES = 100_000, 2_000, 50, 20


def fill(catalogue: Catalogue, tagger: Tagger, model: int) -> None:
    """Pictures whose vectors lie around those of words."""
    random = np.random.default_rng(0)
    W = tagger.vocabulary(named_set("photographer")).W.numpy()
    n, e = tagger.vectors_shape
    for start in range(0, PICTURES, AT_ONCE):
        S = W[random.integers(0, len(W), (AT_ONCE, n))] + random.normal(0, e**-0.5, (AT_ONCE, n, e))
        digests = [index.to_bytes(16, "big") for index in range(start, start + AT_ONCE)]
        files = [File(f"{index:06}.jpg", 1, 1, digest) for index, digest in enumerate(digests, start)]
        contents = [Content(d, 1, 1, one) for d, one in zip(digests, S.astype(np.float16), strict=True)]
        catalogue.save(files, contents, model)


def exact(catalogue: Catalogue, tagger: Tagger, model: int, words: list[str]) -> tuple[list[str], float]:
    """The best pictures by scores in full precision, and the seconds that takes with all vectors read before."""
    blocks = [(paths, torch.from_numpy(S.astype(np.float32))) for paths, S in catalogue.pictures(model)]
    W = tagger.vocabulary(words).W
    began = time.perf_counter()
    scores = np.concatenate([scores_of(tagger.network.model, S, W) for _, S in blocks])
    z = ((scores - scores.mean(0)) / scores.std(0)).sum(1)
    best = np.argsort(-z, kind="stable")[:TOP]
    paths = [path for some, _ in blocks for path in some]
    return [paths[i] for i in best], time.perf_counter() - began


def main() -> None:
    tagger = Tagger.load(sys.argv[1])
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as name:
        folder = Path(name)
        with Catalogue(folder / "made-up.zerotag", folder) as catalogue:
            model = catalogue.model(tagger.identity, tagger.vectors_shape)
            fill(catalogue, tagger, model)
            before = peak_gigabytes()
            began = time.perf_counter()
            index = Index(catalogue, tagger)
            loading = time.perf_counter() - began
            memory = peak_gigabytes() - before
            names = [word.name for word in named_set("photographer").words]
            print(
                f"{PICTURES:,} pictures, {tagger.vectors_shape} numbers each, loaded in {loading:.1f} s, "
                f"{memory:.2f} GB\n"
            )
            print("| words | median, ms | slowest, ms |\n|---|---:|---:|")
            for number in (1, 2, 4):
                times = []
                for query in range(QUERIES):
                    words = names[query * number : (query + 1) * number]
                    tagger.vocabulary(words)  # the encoder's time is not the search's
                    began = time.perf_counter()
                    index.search(Query.of(words), top=TOP)
                    times.append(1e3 * (time.perf_counter() - began))
                print(f"| {number} | {median(times):.0f} | {max(times):.0f} |", flush=True)
            recalls, slow = [], 0.0
            for query in range(3):
                words = names[40 * query : 40 * query + 2]
                expected, slow = exact(catalogue, tagger, model, words)
                found = {match.path for match in index.search(Query.of(words), top=TOP)}
                recalls.append(len(found & set(expected)) / TOP)
            print(
                f"\nrecall@{TOP} beside exact scores {min(recalls):.2f} to {max(recalls):.2f}; "
                f"these take {1e3 * slow:.0f} ms"
            )


if __name__ == "__main__":
    main()
