"""What the README shows runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

README = Path(__file__).parents[1] / "README.md"


def test_the_example_of_the_library_runs() -> None:
    example = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(example, names)
    assert names["S"].shape == (2, 7, 384) and names["scores"].shape == (2, 3)
    assert names["report"].missing == ()
