"""A trained run judged on its data set's test pictures."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from zerotag.datasets import TEST, PictureDataset, load_dataset
from zerotag.errors import ZerotagError
from zerotag.heatmaps import cells_in_boxes
from zerotag.judgement import Report, evaluate
from zerotag.labels import SETTINGS
from zerotag.locks import held
from zerotag.prefetch import prefetched
from zerotag.progress import Progress, silent
from zerotag.protocols import protocol_named
from zerotag.storage import full_disk_explained, laid_out, mapped, write_atomically
from zerotag.training.network import Inputs, Network
from zerotag.training.prepare import inputs_for, load_network, map_source, vectors_for
from zerotag.training.processes import Processes, processes
from zerotag.training.results import FILE, evaluate_again, read_results
from zerotag.training.run import COPY, load_run

BATCH_SIZE = 64


@dataclass(frozen=True)
class PointingGame:
    """How often the peak of a label's heat map lies in the box of an object that carries the label.

    Attributes:
        accuracy: share of hits over all pairs of a test picture and an unseen label it has.
        chance: share of hits of a position chosen at random.
        num_pairs: how many pairs.
    """

    accuracy: float
    chance: float
    num_pairs: int


@dataclass(frozen=True)
class Evaluation:
    """All that was found about a run.

    Attributes:
        reports: figures by setting.
        pointing_game: where the data have boxes and the model has heat maps.
        num_parameters: how many numbers the model learns; a frozen backbone's are not among them.
        ms_per_image: milliseconds from feature maps to the scores of all labels, in batches; from pixels where the
            backbone is trained too.
    """

    reports: dict[str, Report]
    pointing_game: PointingGame | None
    num_parameters: int
    ms_per_image: float

    @property
    def protocol(self) -> str:
        """Name of the protocol, the same for all settings."""
        return next(iter(self.reports.values())).protocol

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        game = None if self.pointing_game is None else asdict(self.pointing_game)
        return {
            "settings": {s: r.to_dict() for s, r in self.reports.items()},
            "pointing_game": game,
            "num_parameters": self.num_parameters,
            "ms_per_image": self.ms_per_image,
        }


def evaluate_run(
    folder: Path,
    settings: Sequence[str] = ("zsl", "gzsl"),
    *,
    ks: Sequence[int] = (3, 5),
    protocol: str = "paper",
    scores_file: Path | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """A run's figures on the test pictures by setting; also written to ``results.json`` in the run.

    Scores go to a file batch by batch and are judged from there, so memory does not grow with the number of pictures;
    several processes under ``torchrun`` each write their share of it.

    Args:
        folder: of the run.
        settings: "zsl", "gzsl" or "multilabel".
        ks: how many of a picture's best labels are counted.
        protocol: a name in :data:`zerotag.protocols.PROTOCOLS`.
        scores_file: where the scores go as a NumPy array [N, C], the test pictures by all labels, seen then unseen.
        progress: told of each step.

    Raises:
        ZerotagError: the run is not finished, its data set changed since, its model cannot do a setting, or there is
            no such protocol.
    """
    protocol_named(protocol)
    run = load_run(folder)
    read_results(folder / FILE, evaluate_again(folder))  # said before the work, not after
    kept = scores_file or folder / "scores.npy"
    of_run = blake2b(str(folder.resolve()).encode(), digest_size=4).hexdigest()
    file = kept.with_name(f".{kept.name}.{of_run}.partial")  # which nobody else writes while the run is held
    with processes() as together, held(folder, COPY) if together.is_first else nullcontext():
        with together.first_alone():  # what is not in the cache yet is put there once
            dataset = load_dataset(run.settings.data)
            W, _ = vectors_for(run.settings, run.labels)
            source = map_source(run.settings, dataset)
            network = load_network(run, W, source)
            if impossible := [s for s in settings if s in SETTINGS and s not in network.model.settings]:
                raise ZerotagError(
                    f"model {run.settings.model.name} cannot do setting '{impossible[0]}': it ranks only labels that "
                    f"it was trained on; it can do {', '.join(network.model.settings)}"
                )
            inputs = inputs_for(run.settings, dataset, source, progress, network.model.strides_read)
        test = dataset.rows(TEST)
        if not len(test):
            raise ZerotagError(f"{dataset.root} has no test pictures; mark some with the split 'test'")
        with ExitStack() as ending:
            if together.is_first:
                ending.callback(file.unlink, missing_ok=True)
            began = time.perf_counter()
            scores = _write_scores(file, network, inputs, test, W, together, together.reporting(progress))
            ms_per_image = 1000 * (time.perf_counter() - began) / len(test)
            annotations = dataset.annotations[np.ix_(test, dataset.columns(run.labels.all))]
            unseen = W[len(run.labels.seen) :]
            evaluation = Evaluation(
                {s: evaluate(scores, annotations, run.labels, setting=s, ks=ks, protocol=protocol) for s in settings},
                play_pointing_game(network, inputs, dataset, test, run.labels.unseen, unseen, progress),
                num_parameters=sum(parameter.numel() for parameter in network.parameters()),
                ms_per_image=ms_per_image,
            )
            together.wait()
            if together.is_first:
                if scores_file is not None:
                    file.replace(scores_file)
                _keep(folder / FILE, evaluation)
    return evaluation


@torch.inference_mode()
def _write_scores(
    file: Path,
    network: Network,
    inputs: Inputs,
    test: np.ndarray,
    W: Float[Tensor, "c d"],
    together: Processes,
    progress: Progress,
) -> Float[np.ndarray, "n c"]:
    """Scores of the test pictures by all labels, in a file; each process writes its share of the rows."""
    with full_disk_explained(file):
        if together.is_first:
            file.parent.mkdir(parents=True, exist_ok=True)
            laid_out(file, np.float32, (len(test), len(W))).flush()
        together.wait()
        scores, W = mapped(file, "r+"), W.to(network.device)
        share = np.array_split(np.arange(len(test)), together.count)[together.rank]
        batches = [share[start : start + BATCH_SIZE] for start in range(0, len(share), BATCH_SIZE)]
        reading = prefetched(lambda rows: inputs.batch(test[rows]), batches)
        for number, (rows, batch) in enumerate(reading, start=1):
            scores[rows] = network.model.score(network.embed(batch), W).cpu().numpy()
            progress("Scoring pictures", number, len(batches))
        scores.flush()
    together.wait()
    return mapped(file)


def _keep(file: Path, evaluation: Evaluation) -> None:
    """Write the figures; those of settings that were not asked for this time stay, if by the same protocol."""
    results = evaluation.to_dict()
    if earlier := read_results(file, evaluate_again(file.parent)):
        same = {s: report for s, report in earlier["settings"].items() if report["protocol"] == evaluation.protocol}
        results["settings"] = same | results["settings"]
    write_atomically(file, json.dumps(results, indent=1, allow_nan=False))


def play_pointing_game(
    network: Network,
    inputs: Inputs,
    dataset: PictureDataset,
    indices: np.ndarray,
    labels: Sequence[str],
    W: Float[Tensor, "c d"],
    progress: Progress = silent,
) -> PointingGame | None:
    """The pointing game over pairs of a picture and one of ``labels`` that it has; None where it cannot be played."""
    if dataset.objects is None or not network.model.has_heat_maps:
        return None
    column = {label: c for c, label in enumerate(labels)}
    indices = np.array([i for i in indices if any(not column.keys().isdisjoint(t.labels) for t in dataset.objects[i])])
    hits, chances, pairs = 0.0, 0.0, 0
    batches = [indices[start : start + BATCH_SIZE] for start in range(0, len(indices), BATCH_SIZE)]
    for number, (rows, batch) in enumerate(prefetched(inputs.batch, batches), start=1):
        boxed = [
            (i, column[label], *thing.box)
            for i, row in enumerate(rows)
            for thing in dataset.objects[row]
            for label in thing.labels
            if label in column
        ]
        progress("Playing the pointing game", number, len(batches))
        table = np.array(boxed)
        pair, of_pair = np.unique(table[:, :2].astype(int), axis=0, return_inverse=True)
        row, label_column = pair.T
        place = np.arange(len(pair)) - np.searchsorted(row, row)  # among the labels of its picture
        own = np.zeros((len(rows), place.max() + 1), int)
        own[row, place] = label_column
        heat = network.position_scores(batch, W[own])[row, place].cpu().numpy()
        on_object = np.zeros(heat.shape, bool)
        np.logical_or.at(on_object, of_pair, cells_in_boxes(table[:, 2:], *heat.shape[1:]))
        peaks = heat.reshape(len(pair), -1).argmax(1)
        hits += on_object.reshape(len(pair), -1)[np.arange(len(pair)), peaks].sum()
        chances += on_object.mean((1, 2)).sum()
        pairs += len(pair)
    return PointingGame(hits / pairs, chances / pairs, pairs) if pairs else None
