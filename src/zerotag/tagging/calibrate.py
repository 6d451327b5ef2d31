"""Fit confidences to annotated pictures that the model was not trained on, and tell how far they can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import csr_array, hstack
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from zerotag.datasets import TEST, load_dataset
from zerotag.errors import ZerotagError
from zerotag.locks import held
from zerotag.progress import Progress, silent
from zerotag.tagging.calibration import NONE, Calibration, Spread, expected_calibration_error, features
from zerotag.tagging.tagger import Tagger
from zerotag.training.network import embed_all
from zerotag.training.prepare import inputs_for, map_source
from zerotag.training.run import COPY, load_run

FEWEST_UNTRAINED = 4
FEWEST_TRAINED, FEWEST_PICTURES = 2, 10
STRENGTH = 1.0
STRENGTH_OF_OWN = 0.3
REFERENCE = 256
WISHED_PRECISION = 0.8


@dataclass(frozen=True)
class Trust:
    """How confidences held on pictures, and for labels that were never trained on on labels, they were not fitted to.

    Attributes:
        num_labels: how many labels.
        expected_calibration_error: mean distance of confidence and share of right labels, in [0, 1].
        chosen: share of all picture-label pairs that a wished precision of 0.8 chooses.
        precision: the share of these that is right; NaN where none is chosen.
        bins: for a diagram: mean confidence, share of right ones and number of pairs in ten bins of confidence.
    """

    num_labels: int
    expected_calibration_error: float
    chosen: float
    precision: float
    bins: list[tuple[float, float, int]]


@dataclass(frozen=True)
class Examples:
    """Scores and truth of pictures by labels, and what is known of the labels."""

    scores: Float[np.ndarray, "b c"]
    positives: Bool[np.ndarray, "b c"]
    known: Bool[np.ndarray, "b c"]
    names: tuple[str, ...]
    is_trained: Bool[np.ndarray, " c"]

    def pictures(self, rows: Bool[np.ndarray, " b"]) -> Examples:
        """Some of the pictures."""
        return replace(self, scores=self.scores[rows], positives=self.positives[rows], known=self.known[rows])


def calibrate(
    run_folder: Path, data: str | None = None, *, progress: Progress = silent
) -> tuple[Calibration, dict[str, Trust]]:
    """Fit a calibration to a run, write it into the run's folder, and measure it.

    Pictures of the data's test split are taken, or all where the run was trained on other data. What is measured is
    fitted to one half of the pictures and judged on the other, in turn; for labels that were never trained on it is
    fitted to one half of these labels and judged on the other as well. The calibration that is kept is fitted to all.

    Args:
        run_folder: of a finished run.
        data: annotated pictures; the run's own data when left out.
        progress: told how far the work is.

    Raises:
        ZerotagError: the data have none of the trained labels, or too few pictures.
    """
    run = load_run(run_folder)
    with held(run_folder, COPY):
        tagger = Tagger.load(run_folder, calibrated=False)
        examples, S = _examples(run_folder, data, tagger, progress)
        calibration = fit(examples, np.ones(len(examples.names), bool), S[:REFERENCE])
        calibration.save(run_folder, run.weights_digest())
    return calibration, measured(examples)


def measured(examples: Examples) -> dict[str, Trust]:
    """How far confidences hold for "trained" labels and, where there are some, "untrained" ones, by cross-fitting."""
    draw = np.random.default_rng(0)
    half = draw.permutation(len(examples.scores)) % 2 == 0
    untrained = np.flatnonzero(~examples.is_trained)
    fold_of = np.zeros(len(examples.names), int)
    fold_of[untrained] = draw.permutation(len(untrained)) % 2

    judged: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"trained": []}
    if len(untrained):
        judged["untrained"] = []
    for side in (half, ~half):
        fitted_to, judged_on = examples.pictures(side), examples.pictures(~side)
        spread = Spread(len(examples.names)).add(judged_on.scores)
        for fold in (0, 1):
            own = fit(fitted_to, examples.is_trained | (fold_of != fold))
            confidences = own.confidences(judged_on.scores, examples.names, spread)
            for kind, columns in (
                ("trained", examples.is_trained & (fold == 0)),
                ("untrained", ~examples.is_trained & (fold_of == fold)),
            ):
                if columns.any():
                    chosen = judged_on.known & columns
                    judged[kind].append((confidences[chosen], judged_on.positives[chosen]))
    return {kind: _trust(parts, examples.is_trained, kind) for kind, parts in judged.items()}


def _examples(
    run_folder: Path, data: str | None, tagger: Tagger, progress: Progress
) -> tuple[Examples, Float[Tensor, "b n e"]]:
    run = load_run(run_folder)
    dataset = load_dataset(data or run.settings.data)
    is_own = dataset.root.resolve() == load_dataset(run.settings.data).root.resolve()
    rows = dataset.rows(TEST) if is_own else np.arange(len(dataset.paths))
    settings = run.settings.model_copy(update={"data": data or run.settings.data})
    source = map_source(settings, dataset)
    inputs = inputs_for(settings, dataset, source, progress, tagger.network.model.strides_read)
    S = embed_all(tagger.network, inputs, rows, progress=progress)
    vocabulary = tagger.vocabulary(dataset.labels, allow_missing=True)
    columns = dataset.columns(vocabulary.names)
    annotations = dataset.annotations[np.ix_(rows, columns)]
    usable = (annotations == 1).sum(0) >= 2
    trained = set(run.labels.seen) - set(run.held_out_labels)
    names = tuple(name for name, use in zip(vocabulary.names, usable, strict=True) if use)
    examples = Examples(
        tagger.scores(S, vocabulary)[:, usable],
        annotations[:, usable] == 1,
        annotations[:, usable] != 0,
        names,
        np.array([name in trained for name in names], bool),
    )
    if examples.is_trained.sum() < FEWEST_TRAINED or len(rows) < FEWEST_PICTURES:
        raise ZerotagError(
            f"{dataset.root} has {len(rows)} pictures and {int(examples.is_trained.sum())} of the labels that "
            f"{run_folder} was trained on and that two pictures have; at least {FEWEST_PICTURES} and "
            f"{FEWEST_TRAINED} are needed"
        )
    return examples, S


def fit(examples: Examples, labels: Bool[np.ndarray, " c"], reference: Float[Tensor, "r n e"] = NONE) -> Calibration:
    """A calibration from some of the labels."""
    positives, known = examples.positives & examples.known, examples.known
    trained, untrained = labels & examples.is_trained, labels & ~examples.is_trained
    found = features(examples.scores, Spread(len(examples.names)).add(examples.scores))

    common, own = _logistic(found[:, trained], positives[:, trained], known[:, trained], with_own=True)
    others = common
    if untrained.sum() >= FEWEST_UNTRAINED:
        others, _ = _logistic(found[:, untrained], positives[:, untrained], known[:, untrained], with_own=False)
    names = tuple(name for name, use in zip(examples.names, trained, strict=True) if use)
    return Calibration(names, own, common, others, reference)


def _logistic(
    found: Float[np.ndarray, "b c f"],
    positives: Bool[np.ndarray, "b c"],
    known: Bool[np.ndarray, "b c"],
    *,
    with_own: bool,
) -> tuple[Float[np.ndarray, " f"], Float[np.ndarray, "c 2"]]:
    """Weights that all labels share, and offset and slope of each label's own, both drawn towards zero."""
    image, label = known.nonzero()
    rows = found[image, label]
    mean, deviation = rows[:, 1:].mean(0), rows[:, 1:].std(0) + 1e-9
    shared = csr_array((rows[:, 1:] - mean) / deviation)
    num_labels = found.shape[1]
    design = shared
    if with_own:
        place = np.arange(len(rows))
        offset = csr_array((np.full(len(rows), STRENGTH_OF_OWN), (place, label)), (len(rows), num_labels))
        slope = csr_array((STRENGTH_OF_OWN * rows[:, 1], (place, label)), (len(rows), num_labels))
        design = hstack([shared, offset, slope], format="csr")
    model = LogisticRegression(C=STRENGTH, max_iter=300).fit(design, positives[image, label])
    weights = model.coef_[0]
    common = weights[: found.shape[2] - 1] / deviation
    common = np.concatenate([[model.intercept_[0] - common @ mean], common])
    own = np.zeros((num_labels, 2))
    if with_own:
        own = STRENGTH_OF_OWN * weights[found.shape[2] - 1 :].reshape(2, num_labels).T
    return common, own


def _trust(parts: Sequence[tuple[np.ndarray, np.ndarray]], is_trained: np.ndarray, kind: str) -> Trust:
    confidences = np.concatenate([part[0] for part in parts])
    right = np.concatenate([part[1] for part in parts])
    order = np.argsort(-confidences, kind="stable")
    mean = confidences[order].cumsum() / np.arange(1, len(order) + 1)
    number = int(np.flatnonzero(mean >= WISHED_PRECISION)[-1]) + 1 if (mean >= WISHED_PRECISION).any() else 0
    place = np.minimum((confidences * 10).astype(int), 9)
    counts = np.bincount(place, minlength=10)
    sums = [np.bincount(place, of, minlength=10) for of in (confidences, right)]
    return Trust(
        int((is_trained == (kind == "trained")).sum()),
        expected_calibration_error(confidences, right),
        number / len(order),
        float(right[order[:number]].mean()) if number else float("nan"),
        [
            (float(sums[0][b] / counts[b]), float(sums[1][b] / counts[b]), int(counts[b]))
            for b in range(10)
            if counts[b]
        ],
    )


def to_plain(trust: dict[str, Trust]) -> dict[str, Any]:
    """The same for JSON."""
    return {kind: vars(one) for kind, one in trust.items()}
