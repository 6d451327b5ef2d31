"""Fig. 8: the ten best labels of some pictures, seen and unseen ranked together."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zerotag.datasets import TEST, load_dataset
from zerotag.errors import visible
from zerotag.images import open_picture
from zerotag.studies.records import COLOURS, figure, write_table
from zerotag.studies.request import Request
from zerotag.tagging.tagger import Tagger
from zerotag.training.run import load_run

NUM_PICTURES, TOP_K, IN_A_ROW = 6, 10, 3


def make(request: Request) -> list[Path]:
    """Tag the first test pictures, not chosen, and write ``qualitative``: right labels bold, unseen ones starred."""
    run = request.run_of_method()
    tagger = Tagger.load(run)
    dataset = load_dataset(request.data).split(TEST)
    pictures = [open_picture(dataset.picture(i)) for i in range(min(NUM_PICTURES, len(dataset.paths)))]
    tagged = tagger.tag(pictures, top_k=TOP_K)
    table = [
        {
            "picture": dataset.paths[i],
            "rank": rank,
            "label": tag.label,
            "score": round(tag.score, 4),
            "unseen": not tag.seen,
            "right": tag.label in dataset.labels_of(i),
        }
        for i, tags in enumerate(tagged)
        for rank, tag in enumerate(tags, start=1)
    ]
    files = write_table(request.folder / "qualitative", table, load_run(run).settings.model_dump())
    lines = -(-len(pictures) // IN_A_ROW)
    with figure(7.2, 1.9 * lines, request.folder / "qualitative", files) as drawn:
        grid = drawn.subplots(lines, 2 * IN_A_ROW, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for i, (picture, tags) in enumerate(zip(pictures, tagged, strict=True)):
            left, right = grid[i // IN_A_ROW, 2 * (i % IN_A_ROW) : 2 * (i % IN_A_ROW) + 2]
            left.imshow(np.asarray(picture))
            for rank, tag in enumerate(tags):
                is_right = tag.label in dataset.labels_of(i)
                right.text(
                    0,
                    1 - (rank + 0.5) / TOP_K,
                    f"{visible(tag.label)}{'' if tag.seen else ' *'}",
                    parse_math=False,
                    fontsize=7,
                    va="center",
                    color=COLOURS[2] if is_right else "#667085",
                    weight="bold" if is_right else "normal",
                    transform=right.transAxes,
                )
        drawn.supxlabel("green: right   *: a label that was never trained on", fontsize=7, color="#667085")
    return files
