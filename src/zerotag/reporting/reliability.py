"""A reliability diagram: how often labels of some confidence are right. Needs the extra ``research``."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from zerotag.errors import MissingPackageError
from zerotag.storage import write_atomically
from zerotag.tagging.calibrate import Trust

COLOURS = {"trained": "#2a3f9d", "untrained": "#b4232a"}
NAMES = {"trained": "labels with training pictures", "untrained": "labels without"}


def draw(trust: dict[str, Trust], file: Path) -> None:
    """Write the diagram as PNG; a dot is as large as its bin is full, on a logarithmic scale.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError("matplotlib", "research", "A figure") from error
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        drawn = Figure(figsize=(4.2, 4.0), constrained_layout=True)
        axes = drawn.subplots()
        axes.plot([0, 1], [0, 1], color="#98a2b3", linewidth=1, label="as it should be")
        for kind, one in trust.items():
            confidence, right, number = zip(*one.bins, strict=True)
            size = [6 + 3 * len(str(count)) ** 2 for count in number]
            axes.plot(confidence, right, color=COLOURS[kind], linewidth=1)
            axes.scatter(confidence, right, size, color=COLOURS[kind], label=f"{one.num_labels} {NAMES[kind]}")
        axes.set(xlabel="confidence", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.legend(frameon=False, loc="upper left")
        content = BytesIO()
        drawn.savefig(content, format="png", dpi=200)
    write_atomically(file, content.getvalue())
