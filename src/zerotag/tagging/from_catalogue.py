"""What people accepted and rejected, as a data set to train on."""

from __future__ import annotations

import json
from pathlib import Path

from zerotag.errors import ZerotagError, in_json
from zerotag.storage import write_atomically
from zerotag.tagging.catalogue import Catalogue


def write_dataset(catalogue: Catalogue, folder: Path) -> tuple[int, int]:
    """Write ``labels.jsonl`` into a new folder, a line a judged picture; pictures stay where they are.

    Returns:
        Number of pictures judged, and of judged ones left out, since the folder has no file of that content any more.

    Raises:
        ZerotagError: nothing was judged yet, or the folder holds a data set already.
    """
    if (folder / "labels.jsonl").exists():
        raise ZerotagError(f"{folder} holds a data set already; choose another folder")
    rows, num_gone = [], 0
    for digest, verdicts in catalogue.verdicts().items():
        path = catalogue.path_of(digest)
        if path is None:
            num_gone += 1
        else:
            sides = {side: sorted(label for label, yes in verdicts.items() if yes == side) for side in (True, False)}
            rows.append({"path": str(catalogue.folder / path), "labels": sides[True], "rejected": sides[False]})
    if not rows:
        raise ZerotagError(f"nothing was accepted or rejected yet in {catalogue.path}; do so with: zerotag serve")
    rows.sort(key=lambda row: str(row["path"]))
    write_atomically(
        folder / "labels.jsonl", "".join(in_json(json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)
    )
    return len(rows), num_gone
