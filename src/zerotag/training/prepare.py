"""What a run is made of: its labels, its pictures, their label vectors, its network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from zerotag.backbones import Backbone, create_backbone, frozen_backbone
from zerotag.datasets import TRAIN, PictureDataset, StoredMaps, load_dataset
from zerotag.errors import ZerotagError, shown
from zerotag.features import cached_features
from zerotag.kept_maps import kept_maps
from zerotag.labels import LabelSet, split_labels
from zerotag.models import TaggingModel, create_model
from zerotag.progress import Progress, silent
from zerotag.training.checkpoint import check_weights, load_tensors, load_weights
from zerotag.training.network import Inputs, Network, Pixels, default_device
from zerotag.training.run import Run, check_same, current_versions, earlier_run
from zerotag.training.settings import Settings
from zerotag.vectors import VectorReport, label_vectors

HOLD_OUT_STREAM = 7


@dataclass(frozen=True)
class Examples:
    """Pictures with the labels that they are trained, or judged, on.

    Attributes:
        inputs: of all pictures of the data set.
        dataset: with their annotations.
        indices: which of its pictures, [M].
        columns: which of its labels, [C].
        W: vectors of these labels.
    """

    inputs: Inputs
    dataset: PictureDataset
    indices: np.ndarray
    columns: np.ndarray
    W: Float[Tensor, "c d"]

    def positives(self, rows: np.ndarray | slice = slice(None)) -> Bool[np.ndarray, "m c"]:
        """Which labels some of the pictures have."""
        return self.dataset.annotations[np.ix_(self.indices[rows], self.columns)] == 1


def prepare(
    settings: Settings, folder: Path, *, resume: bool, progress: Progress
) -> tuple[Run, Network, Examples, Examples | None]:
    """The run, its network with first weights, the examples to fit, and those held out to choose the best epoch by.

    Raises:
        ZerotagError: ``folder`` holds a run that is not to be, or cannot be, gone on with; or data, label vectors
            and model do not fit together.
    """
    earlier = earlier_run(settings, folder, resume)
    dataset = load_dataset(settings.data)
    labels = labels_of(settings, dataset)
    W, vectors = vectors_for(settings, labels, progress=progress)
    source = map_source(settings, dataset)

    rng = np.random.default_rng([settings.seed, HOLD_OUT_STREAM])
    train = dataset.rows(TRAIN)
    fit_rows, held_rows = _hold_out(train, settings.selection.held_out_pictures, rng)
    fit_labels, held_labels = _hold_out(np.arange(len(labels.seen)), settings.selection.held_out_labels, rng)
    network = build_network(settings, source, source.channels, W[fit_labels])
    inputs = inputs_for(settings, dataset, source, progress, network.model.strides_read)
    seen = dataset.columns(labels.seen)

    def examples(rows: np.ndarray, chosen: np.ndarray) -> Examples:
        return Examples(inputs, dataset, rows, seen[chosen], W[chosen])

    run = Run(
        folder,
        settings,
        labels,
        held_out_labels=tuple(labels.seen[i] for i in held_labels),
        backbone=source.record(),
        vectors=vectors.to_dict(),
        versions=current_versions(settings.model.name),
    )
    if earlier is not None:
        check_same(earlier, run)
        run = earlier
    judged = held_labels if len(held_labels) else fit_labels
    held_out = examples(held_rows, judged) if len(held_rows) else None
    return run, network, examples(fit_rows, fit_labels), held_out


def vectors_for(
    settings: Settings,
    labels: LabelSet,
    words: Sequence[str] | None = None,
    *,
    allow_missing: bool = False,
    progress: Progress = silent,
) -> tuple[Float[Tensor, "c d"], VectorReport]:
    """Vectors of ``words``, or of all labels of the run, centred as the run's settings say."""
    return label_vectors(
        labels.all if words is None else words,
        settings.vectors.source,
        centre_on=labels.seen if settings.vectors.centre else None,
        allow_missing=allow_missing,
        progress=progress,
    )


def labels_of(settings: Settings, dataset: PictureDataset) -> LabelSet:
    """Seen and unseen labels: as the data set fixes them, or drawn by the seed; all seen where none is to be unseen."""
    if dataset.unseen and settings.labels.unseen_fraction:
        unseen = set(dataset.unseen)
        return LabelSet(tuple(label for label in dataset.labels if label not in unseen), dataset.unseen)
    return split_labels(dataset.labels, unseen_fraction=settings.labels.unseen_fraction, seed=settings.seed)


def map_source(settings: Settings, dataset: PictureDataset) -> Backbone | StoredMaps:
    """Where feature maps come from: the data set itself, or a backbone.

    Raises:
        ZerotagError: the backbone is to be trained and there are no pictures.
    """
    if dataset.maps is None:
        return backbone_for(settings)
    if settings.backbone.train:
        raise ZerotagError(
            f"{dataset.root} holds feature maps and no pictures, so the backbone cannot be trained; "
            "set backbone.train to false"
        )
    return dataset.maps


def backbone_for(settings: Settings) -> Backbone:
    """The backbone of the settings; frozen unless it is trained too."""
    wanted = settings.backbone.model_dump(exclude={"train"})
    if settings.backbone.train:
        return create_backbone(**wanted, whole=False)
    return frozen_backbone(**wanted)


def build_network(
    settings: Settings, source: Backbone | StoredMaps, channels: dict[int, int], W: Float[Tensor, "c d"]
) -> Network:
    """The model of the settings for labels with vectors ``W``, with first weights drawn from torch's random state."""
    model = _new_model(settings, channels, W.shape[1])
    model.meet_labels(W)
    trained = source if isinstance(source, Backbone) and settings.backbone.train else None
    return Network(model, trained).to(default_device())


def inputs_for(
    settings: Settings,
    dataset: PictureDataset,
    source: Backbone | StoredMaps,
    progress: Progress,
    strides: Sequence[int] | None = None,
) -> Inputs:
    """Feature maps of all pictures, kept, stored or cached, or their pixels where the backbone is trained too.

    Maps of other ``strides`` than those named are not read from the disk, where they lie there one by one.
    """
    if isinstance(source, Backbone) and settings.backbone.train:
        return Pixels([dataset.picture(i) for i in range(len(dataset.paths))], source.preprocessing)
    if isinstance(source, Backbone):
        return cached_features(dataset, source, progress=progress).reading(strides or tuple(source.channels))
    kept = kept_maps(dataset)
    return kept.reading(strides or tuple(source.channels)) if kept else source


def load_network(run: Run, W: Float[Tensor, "c d"], source: Backbone | StoredMaps) -> Network:
    """The trained network of a finished run with label vectors ``W``, in evaluation mode.

    Where a run was trained on maps that came with its data, a backbone with as many channels may stand in for them, so
    that pictures can be tagged; whether it made those maps only its user knows.

    Args:
        run: the run.
        W: vectors of all its labels.
        source: of the feature maps that it is to read.

    Raises:
        ZerotagError: the run is not finished, its weights are damaged, or it was trained on other maps.
    """
    if not run.is_finished:
        raise ZerotagError(f"the training in {run.folder} is not finished; go on with it by adding --resume")
    channels = {int(stride): number for stride, number in run.backbone["channels"].items()}
    came_with_data = "preprocessing" not in run.backbone
    if came_with_data and isinstance(source, Backbone):
        if any(source.channels.get(stride) != number for stride, number in channels.items()):
            raise ZerotagError(
                f"{run.folder} was trained on {run.backbone['name']}, {channels} channels by stride, and backbone "
                f"{source.name} makes other maps; train with the name of the backbone that made them, such as "
                "--set backbone.name=vgg19"
            )
    elif source.record() != run.backbone:
        raise ZerotagError(
            f"{run.folder} was trained on {run.backbone}, but here feature maps come from {source.record()}; "
            "install the versions named in its run.json"
        )
    held_out = set(run.held_out_labels)
    trained = [column for column, label in enumerate(run.labels.seen) if label not in held_out]
    weights, _ = load_tensors(run.weights)
    with torch.device("meta"):  # no memory is taken for a model that is larger than its weights
        model = _new_model(run.settings, channels, W.shape[1])
    check_weights({f"model.{name}": tensor for name, tensor in model.state_dict().items()}, weights, run.weights)
    network = build_network(run.settings, source, channels, W[trained])
    load_weights(network, weights, run.weights)
    return network.eval()


def _new_model(settings: Settings, channels: dict[int, int], vector_dim: int) -> TaggingModel:
    name, options = settings.model.name, settings.model.options
    try:
        return create_model(name, channels=channels, vector_dim=vector_dim, **options)
    except ZerotagError:
        raise
    except Exception as error:  # whatever torch says of a size that is none
        reason = shown(str(error)).strip().splitlines()[0]
        raise ZerotagError(f"model {name} cannot be made with the options {options} ({reason}); set others") from error


def _hold_out(items: np.ndarray, fraction: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Items kept and items held out, both in their old order."""
    held = np.zeros(len(items), bool)
    held[rng.permutation(len(items))[: round(fraction * len(items))]] = True
    return items[~held], items[held]
