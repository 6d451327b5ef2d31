"""The protocols' golden figures: what the authors' evaluators say of small arrays of scores and annotations.

Run: python benchmarks/authors_evaluators.py BIAM SDL LESA > tests/golden_protocols.json

The three are clones of github.com/akshitac8/BiAM, github.com/Alibaba-MIIL/ZS_SDL and github.com/hbdat/cvpr20_LESA.
None of their lines is copied here; the functions of their evaluators are run as they are, but for calls that a machine
without a graphics processor does not know, and for sorts, which are told to be stable: of equal scores their figures
would otherwise depend on the sorting code of the release.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score

SEEN, UNSEEN, IMAGES, KS = 8, 5, 40, (1, 3, 5)
STABLE = {
    ".sort(descending=True)": ".sort(descending=True, stable=True)",
    ".topk(dim=1, k=k_val)[1]": ".sort(dim=1, descending=True, stable=True)[1][:, :k_val]",
    ".argsort()": ".argsort(kind='stable')",
}


def functions(path: Path, *names: str) -> dict[str, Any]:
    """Functions that a file defines, without running anything else of it."""
    text = path.read_text().replace(".cuda()", "")
    for sort, stable in STABLE.items():
        text = text.replace(sort, stable)
    tree = ast.parse(text)
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
    space: dict[str, Any] = {"np": np, "torch": torch, "average_precision_score": average_precision_score}
    space |= {"print": lambda *text: None}
    exec(compile(tree, str(path), "exec"), space)
    return space


def cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Scores and annotations, seen labels then unseen ones; what no evaluator could mistake, and what some do."""
    random = np.random.default_rng(0)
    shape = (IMAGES, SEEN + UNSEEN)

    def annotated(positive: float, unknown: float) -> np.ndarray:
        drawn = random.random(shape)
        return np.where(drawn < positive, 1, np.where(drawn < positive + unknown, 0, -1)).astype(np.int8)

    scores = random.normal(size=shape).astype(np.float32)
    empty_labels = annotated(0.25, 0.2)
    empty_labels[:, [1, SEEN + 2]] = np.minimum(empty_labels[:, [1, SEEN + 2]], 0)
    empty_images = annotated(0.25, 0.2)
    empty_images[::3] = np.minimum(empty_images[::3], 0)
    sparse = annotated(0.05, 0.9)
    sparse[:, [0, SEEN + 1]] = 0
    return {
        "fully annotated": (scores, annotated(0.25, 0)),
        "some unknown": (scores, annotated(0.25, 0.2)),
        "nearly all unknown, two labels never annotated": (scores, sparse),
        "labels without positives": (scores, empty_labels),
        "images without positives": (scores, empty_images),
        "equal scores": (scores.round(), annotated(0.25, 0.2)),
        "all scores equal": (np.zeros(shape, np.float32), annotated(0.25, 0)),
    }


def lesa(file: Path, scores: np.ndarray, annotations: np.ndarray, zsl: bool) -> dict[str, Any]:
    names = functions(file, "compute_AP", "compute_F1")
    if not zsl:  # unseen labels stand first there
        columns = np.r_[SEEN : SEEN + UNSEEN, :SEEN]
        scores, annotations = scores[:, columns], annotations[:, columns]
    figures = {"mAP": float(names["compute_AP"](scores, annotations).mean())}
    for k in KS:
        best = np.zeros_like(scores)  # as its evaluate_k does before it calls compute_F1
        np.put_along_axis(best, scores.argsort(1, kind="stable")[:, -k:], 1, 1)
        f1, precision, recall = names["compute_F1"](best, annotations, "overall")
        figures |= {f"P@{k}": float(precision), f"R@{k}": float(recall), f"F1@{k}": float(f1)}
    return figures


def biam(file: Path, scores: np.ndarray, annotations: np.ndarray, zsl: bool) -> dict[str, Any]:
    names = functions(file, "compute_AP", "compute_F1")
    S, Y = torch.from_numpy(scores), torch.from_numpy(annotations).long()
    judged_S, judged_Y = S, Y
    if "openimages" in file.name:  # as its evaluate_openimages.py does before it calls either
        kept = Y.clamp(0, 1).sum(1).nonzero().flatten()
        judged_S, judged_Y = S, Y = S[kept], Y[kept]
        if not zsl:
            columns = (Y != 0).sum(0).nonzero().flatten()
            judged_S, judged_Y = S[:, columns], Y[:, columns]
    figures = {"mAP": names["compute_AP"](judged_S, judged_Y).mean().item()}
    for k in KS:
        f1, precision, recall = names["compute_F1"](S.clone(), Y, "overall", k)
        figures |= {f"P@{k}": precision.item(), f"R@{k}": recall.item(), f"F1@{k}": f1.item()}
    return figures


def sdl(file: Path, scores: np.ndarray, annotations: np.ndarray, zsl: bool) -> dict[str, Any]:
    names = functions(file, "mAP", "average_precision", "calc_F1", "one_hot_to_class_labels", "get_only_relevant_gt")
    targets, labels = (annotations == 1).astype(np.int64), list(range(scores.shape[1]))
    figures = {"mAP": names["mAP"](targets, -scores, relevant_inds=labels) / 100}
    best = (-scores).argsort(1, kind="stable")
    for k in KS:
        precision, recall, f1 = names["calc_F1"](targets, best, k, num_classes=len(labels), relevant_inds=labels)
        figures |= {f"P@{k}": precision / 100, f"R@{k}": recall / 100, f"F1@{k}": f1 / 100}
    return figures


def main() -> None:
    biam_folder, sdl_folder, lesa_folder = map(Path, sys.argv[1:])
    evaluators = {
        "lesa": (lesa, lesa_folder / "core" / "utils.py"),
        "biam": (biam, biam_folder / "util_nus.py"),
        "biam-open-images": (biam, biam_folder / "util_openimages.py"),
        "sdl": (sdl, sdl_folder / "src" / "helper_functions" / "helper_functions.py"),
    }
    golden = []
    for case, (scores, labelled) in cases().items():
        figures = {
            name: {
                "zsl": evaluator(file, scores[:, SEEN:], labelled[:, SEEN:], True),
                "gzsl": evaluator(file, scores, labelled, False),
            }
            for name, (evaluator, file) in evaluators.items()
        }
        golden.append({"case": case, "scores": scores.tolist(), "annotations": labelled.tolist(), "figures": figures})
    print(json.dumps({"num_seen": SEEN, "cases": golden}))


if __name__ == "__main__":
    main()
