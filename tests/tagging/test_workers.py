"""Worker processes that cannot start: said in a sentence within seconds, never tried for ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

READ = """
with Readers(num_workers=1) as readers:
    print(list(readers.each(digest_of, [Path(__file__)] * 3)))
"""
IMPORTS = "import multiprocessing, resource, sys\nfrom pathlib import Path\nfrom zerotag.tagging.readers import *\n"
GUARDED = 'if __name__ != "__main__":\n    {}\n'


def outcome(script: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "script.py"
    file.write_text(IMPORTS + script)
    return subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("", 'this script calls zerotag when it is imported; put what calls zerotag under: if __name__ == "__main__":'),
        (GUARDED.format("raise ValueError('boom')"), "ended before they were ready (exit code 1); what they printed"),
        (GUARDED.format("sys.exit(0)"), "ended before they were ready (exit code 0); what they printed"),
        (GUARDED.format("import os; os.kill(os.getpid(), 9)"), "(killed by signal 9, as where memory is short)"),
        ("multiprocessing.set_executable('/none')", "cannot be started (there is no Python at '/none')"),
        ("resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))", "cannot be started (Too many open files)"),
    ],
    ids=["no guard", "raises", "exits", "killed", "no Python", "no files"],
)
def test_workers_that_cannot_start(before: str, said: str, tmp_path: Path) -> None:
    done = outcome(before + READ, tmp_path)
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]
    assert len(done.stderr.splitlines()) < 100 and not done.stdout


def test_a_script_of_standard_input_is_to_be_saved(tmp_path: Path) -> None:
    script = IMPORTS + READ.replace("__file__", "'x'")
    done = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True, timeout=60)
    assert "<stdin> is no file; save the script into one" in done.stderr.splitlines()[-1]


def test_a_guarded_script_reads(tmp_path: Path) -> None:
    script = 'if __name__ == "__main__":\n' + READ.replace("\n", "\n    ")
    assert outcome(script, tmp_path).returncode == 0
