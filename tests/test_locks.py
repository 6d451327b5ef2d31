from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from zerotag.errors import ZerotagError
from zerotag.locks import held

HOLD = """
import sys
from pathlib import Path
from zerotag.locks import held
with held(Path(sys.argv[1]), "wait"):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_folder_is_held_by_one_process_until_it_dies(tmp_path: Path) -> None:
    with holder(tmp_path / "run") as other:
        refused = pytest.raises(
            ZerotagError, match=r"another process is writing to .*run at this moment; .* or leave it"
        )
        with refused, held(tmp_path / "run", "leave it"):
            pass
        other.kill()
        other.wait()
        with held(tmp_path / "run", "leave it"):
            pass


def test_a_folder_cannot_be_held_twice_in_one_process(tmp_path: Path) -> None:
    with held(tmp_path, "wait"), pytest.raises(ZerotagError, match="another process is writing"), held(tmp_path, "go"):
        pass


def test_a_folder_that_cannot_be_made_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = pytest.raises(ZerotagError, match=r"file.run cannot be written \(Not a directory\); go elsewhere")
    with refused, held(tmp_path / "file" / "run", "go elsewhere"):
        pass
