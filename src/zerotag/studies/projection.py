"""Fig. 5: whether pictures of one unseen label lie together, before the model and after it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors
from torch.nn import functional as F

from zerotag.datasets import TEST, load_dataset
from zerotag.errors import ZerotagError, visible
from zerotag.prefetch import prefetched
from zerotag.studies.records import figure, write_table
from zerotag.studies.request import Request
from zerotag.training.network import embed_all
from zerotag.training.prepare import inputs_for, load_network, map_source, vectors_for
from zerotag.training.run import load_run

NUM_LABELS, NUM_NEIGHBOURS, BATCH_SIZE = 10, 10, 64


def make(request: Request) -> list[Path]:
    """Draw test pictures that carry exactly one of ten unseen labels, and write ``projection``.

    Before: the backbone's deepest map averaged over positions. After: all semantic vectors of the picture, side by
    side. The ten labels are drawn by the run's seed. Two figures are taken in the full space, with cosines: the
    silhouette, and how many of a picture's ten nearest neighbours carry its label.

    Raises:
        ZerotagError: too few pictures carry one of the labels, or the backbone is trained too.
    """
    run = load_run(request.run_of_method())
    if run.settings.backbone.train:
        raise ZerotagError("the projection compares a model with its frozen backbone; train with backbone.train=false")
    dataset = load_dataset(run.settings.data)
    unseen = np.array(run.labels.unseen)
    labels = np.random.default_rng(run.settings.seed).permutation(unseen)[:NUM_LABELS].tolist()
    test = dataset.rows(TEST)
    positive = dataset.annotations[np.ix_(test, dataset.columns(labels))] == 1
    one_only = positive.sum(1) == 1
    rows, label = test[one_only], positive[one_only].argmax(1)
    if len(rows) <= NUM_NEIGHBOURS or len(np.unique(label)) < 2:
        raise ZerotagError(f"only {len(rows)} test pictures carry exactly one of {', '.join(labels)}; more are needed")

    W, _ = vectors_for(run.settings, run.labels)
    source = map_source(run.settings, dataset)
    network = load_network(run, W, source)
    inputs = inputs_for(run.settings, dataset, source, request.progress)
    batches = [rows[start : start + BATCH_SIZE] for start in range(0, len(rows), BATCH_SIZE)]
    pooled = [batch[max(batch)].float().mean((2, 3)) for _, batch in prefetched(inputs.batch, batches)]
    spaces = {
        "before": torch.cat(pooled).numpy(),
        "after": embed_all(network, inputs, rows, progress=request.progress).flatten(1).numpy(),
    }
    normalised = {name: F.normalize(torch.from_numpy(x), dim=1).numpy() for name, x in spaces.items()}
    places = {name: _tsne(x) for name, x in normalised.items()}

    alike = {name: _agreement(x, label) for name, x in normalised.items()}
    shares = np.bincount(label) / len(label)
    measures = [
        {
            "space": name,
            "pictures": len(rows),
            "silhouette": round(float(silhouette_score(x, label, metric="cosine")), 4),
            "neighbours_of_the_same_label": round(alike[name], 4),
            "chance": round(float((shares**2).sum()), 4),
        }
        for name, x in normalised.items()
    ]
    settings = {"labels": labels, **run.settings.model_dump()}
    files = write_table(request.folder / "projection", measures, settings)
    points = [
        {
            "picture": dataset.paths[row],
            "label": labels[label[i]],
            **{f"{name}_{axis}": float(places[name][i, a]) for name in places for a, axis in enumerate("xy")},
        }
        for i, row in enumerate(rows)
    ]
    files += write_table(request.folder / "projection_points", points, settings)
    with figure(6.8, 3.4, request.folder / "projection", files) as drawn:
        for axes, (name, place) in zip(drawn.subplots(1, 2), places.items(), strict=True):
            axes.scatter(*place.T, c=label, cmap="tab10", vmin=0, vmax=9, s=8)
            axes.set(title=f"{name}: {100 * alike[name]:.0f} % of neighbours alike", xticks=[], yticks=[])
        colours = [axes.plot([], [], "o", color=f"C{i}", markersize=4)[0] for i in range(len(labels))]
        names = [visible(label).replace("$", r"\$") for label in labels]  # a dollar begins a formula
        drawn.legend(colours, names, loc="outside lower center", ncols=5, frameon=False, fontsize=7)
    return files


def _tsne(x: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m 2"]:
    perplexity = min(30.0, (len(x) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(x)


def _agreement(x: Float[np.ndarray, "m d"], label: Int[np.ndarray, " m"]) -> float:
    """The share of the nearest neighbours, the picture itself left out, that carry the same label."""
    neighbours = NearestNeighbors(n_neighbors=NUM_NEIGHBOURS, metric="cosine").fit(x)
    nearest = neighbours.kneighbors(return_distance=False)
    return float((label[nearest] == label[:, None]).mean())
