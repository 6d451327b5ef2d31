from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_every_test_that_holds_a_promise_is_there() -> None:
    named = NAMED.findall((ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert len(named) > 15
    for file, function in named:
        content = (ROOT / file).read_text(encoding="utf-8")
        assert f"def {function or 'test_'}" in content, (file, function)
