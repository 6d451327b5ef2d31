"""32 clients ask the server 500 mixed requests each: what is answered, how soon, and how its memory grows.

Run: python benchmarks/server_load.py CATALOGUE

CATALOGUE is a tagged folder, whose pictures are sent back to the server, too.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np

from zerotag.tagging.catalogue import Catalogue, catalogue_of

CLIENTS, REQUESTS, WARM_UP = 32, 500, 40
SERVE = "import sys; from zerotag.cli import main; main()"


def memory_megabytes(process: int) -> float:
    """Of the server's own process, its worker processes aside."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")


def client(
    address: str, contents: list[bytes], digests: list[str], seed: int, number: int
) -> list[tuple[str, int, float]]:
    """Kind, status and seconds of each request."""
    random, told = np.random.default_rng(seed), []
    with httpx.Client(base_url=address, timeout=120) as http:
        for _ in range(number):
            digest, content = str(random.choice(digests)), contents[int(random.integers(len(contents)))]
            kind = str(random.choice(["health", "picture", "pictures", "search", "tag", "explain", "bad", "none"]))
            began = time.perf_counter()
            if kind in ("health", "none"):
                answer = http.get(f"/{kind}")
            elif kind == "picture":
                answer = http.get(f"/picture/{digest}")
            elif kind == "pictures":
                answer = http.get("/pictures", params={"number": 5, "start": int(random.integers(20))})
            elif kind == "search":
                answer = http.post("/search", json={"words": ["red", "-blue"], "top": 5})
            else:
                path = "/explain?label=red" if kind == "explain" else "/tag?top_k=5"
                answer = http.post(path, content=content[:200] if kind == "bad" else content)
            told.append((kind, answer.status_code, time.perf_counter() - began))
    return told


def main() -> None:
    where = Path(sys.argv[1])
    with Catalogue(catalogue_of(where)) as catalogue:
        paths = [path for path, file in catalogue.files().items() if file.reason is None][:50]
        digests = [digest.hex() for digest in catalogue.digests_of(paths)]
        contents = [(catalogue.folder / path).read_bytes() for path in paths]
    words = [sys.executable, "-c", SERVE, "serve", str(where), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().split()[0]
        with ThreadPoolExecutor(CLIENTS) as pool:

            def asked(number: int) -> list[tuple[str, int, float]]:
                seeds = range(CLIENTS)
                each = pool.map(lambda seed: client(address, contents, digests, seed, number), seeds)
                return [one for told in each for one in told]

            asked(WARM_UP)
            before, began = memory_megabytes(server.pid), time.perf_counter()
            told = asked(REQUESTS)
            seconds, after = time.perf_counter() - began, memory_megabytes(server.pid)
        server.terminate()
    print(f"{len(told):,} requests of {CLIENTS} clients in {seconds:.0f} s")
    print(f"memory {before:.0f} MB before, {after:.0f} MB after: {100 * (after / before - 1):+.1f} %\n")
    print("| request | statuses | median, ms | 95 %, ms |\n|---|---|---:|---:|")
    for kind in sorted({kind for kind, _, _ in told}):
        own = [(status, took) for name, status, took in told if name == kind]
        counts = ", ".join(f"{number:,} × {status}" for status, number in sorted(Counter(s for s, _ in own).items()))
        times = np.array([took for _, took in own]) * 1e3
        print(f"| {kind} | {counts} | {np.median(times):.0f} | {np.percentile(times, 95):.0f} |")


if __name__ == "__main__":
    main()
