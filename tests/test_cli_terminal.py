"""Whatever is behind standard output, and whenever a command is stopped: its work is done, nothing odd is printed."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from colours import COLOURS
from shell import Shell
from zerotag import tables
from zerotag.cli import console, program
from zerotag.cli.streams import Enduring
from zerotag.errors import UNSHOWN, shown
from zerotag.storage import cache_folder

ZEROTAG = [sys.executable, "-c", "import sys; from zerotag.cli import main; sys.argv[0] = 'zerotag'; main()"]
HOSTILE = ["写.png", "a[red]b[ ]:smile:.png", "esc\x1b[31m\r\n.png", "gpj\u202egnp.png"]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    folder.mkdir()
    for name, colour in zip(HOSTILE, COLOURS, strict=False):
        Image.new("RGB", (20, 20), COLOURS[colour]).save(folder / name)
    return folder


def started(*words: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*ZEROTAG, *map(str, words)], timeout=120, **{"capture_output": True, **options})  # type: ignore[call-overload,no-any-return]


def test_what_a_terminal_would_obey_is_escaped() -> None:
    assert shown("a\x1b[31m\n\x07\x9b1m") == r"a\x1b[31m\n\x07\x9b1m"
    assert shown("\u202a\u202e\u2066\u2069\u2028") == r"\u202a\u202e\u2066\u2069\u2028"
    assert shown(os.fsdecode(b"b\xff.png")) == r"b\xff.png" and shown("\ud800") == r"\ud800"
    assert shown("\u200e\u200f\u061c\ufffa\U000e0041") == r"\u200e\u200f\u061c\ufffa\U000e0041"
    usual = "می\u200cخواهم ❤\ufe0f 写真\u3000é e\u0301 שלום 👩‍👩‍👧 [red]:smile: a\\b"
    assert shown(usual) == usual


@given(
    st.text(
        st.characters(exclude_categories=()) | st.sampled_from("\x1b\x9b\r\b\u202e\u2066\u200f\U000e0041\udcff\n[/]")
    )
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_reaches_the_terminal_as_what_it_would_obey(capsys: pytest.CaptureFixture[str], text: str) -> None:
    table = tables.PlainTable(title=text, caption=text)
    table.add_column(text)
    table.add_row(text)
    console.show(table)
    console.say(text)
    console.say_json({text: text})
    console.note(text)
    console.note_error(text)
    with console.progress_bars() as progress:
        progress(text, 1, 1)
    told = capsys.readouterr()
    assert not UNSHOWN.search((told.out + told.err).replace("\n", ""))


def test_names_and_labels_are_shown_as_they_are(shell: Shell, toy_run: Path, album: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.yaml"
    words.write_text('labels:\n- "\\e[31m red \\e[0m"\n- "\\e]0;owned\\a blue"\n- "[bold]gpj\\u202e grey"\n')
    (album / "bad[x].png").touch()
    code, out, err = shell("tag", toy_run, album, "--labels", words, "--allow-missing", "--top-k", 3)
    assert code == 3
    for name in (r"写.png", r"a[red]b[ ]:smile:.png", r"esc\x1b[31m\r\n.png", r"gpj\u202egnp.png"):
        assert f"│ {name} " in out
    assert r"[bold]gpj\u202e grey*" in out and r"\x1b[31m red \x1b[0m*" in out and r"\x1b]0;owned\x07 blue*" in out
    assert "skipped 'bad[x].png': " in err
    assert not {"\x1b", "\x07", "\r", "\u202e"} & {*out, *err}


def test_the_name_of_a_piece_of_work_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress_bars() as progress:
        progress("Training [red]:smile:\x1b[0m", 1, 1)
    assert r"Training [red]:smile:\x1b[0m" in capsys.readouterr().err


def test_an_error_is_one_line(shell: Shell, tmp_path: Path) -> None:
    code, _, err = shell("search", tmp_path / "a\n\x1b[31mzerotag: all is well", "red")
    assert code == 1 and len(err.splitlines()) == 1 and "\x1b" not in err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_encoding_will_do(encoding: str) -> None:
    done = started("published", "--data", "nus-wide", env=os.environ | {"PYTHONIOENCODING": encoding})
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    assert "mAP" in done.stdout.decode(encoding)
    assert r"K\xb7P/R" in done.stdout.decode("ascii", "replace") if encoding == "ascii" else b"\\xb7" not in done.stdout


@pytest.mark.parametrize("columns", ["0", "1", "7", "many"])
def test_a_narrow_terminal_shows_whole_names(columns: str) -> None:
    dumb = {"COLUMNS": columns, "TERM": "dumb", "NO_COLOR": "1"}
    done = started("models", env=os.environ | dumb)
    lines = done.stdout.decode().splitlines()
    first = "".join(line.split("│")[1].strip() for line in lines if line.startswith("│"))
    assert done.returncode == 0 and first.startswith("attention_per_clusterattention_per_label")
    assert "…" not in done.stdout.decode()


def test_a_reader_that_has_read_enough_is_no_error() -> None:
    command = '"$0" "$@" | head -1; echo "${PIPESTATUS[0]}"'
    done = subprocess.run(
        ["bash", "-c", command, *ZEROTAG, "published", "--json"], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "[\n0\n" and done.stderr == ""


def test_without_standard_output_a_command_works() -> None:
    done = started("models", preexec_fn=lambda: os.close(1), stdout=None, capture_output=False, stderr=subprocess.PIPE)
    assert done.returncode == 0 and done.stderr == b""


def test_tags_are_written_though_the_disk_behind_the_output_is_full(album: Path, toy_run: Path) -> None:
    with Path("/dev/full").open("w") as full:
        options = {"capture_output": False, "stdout": full, "stderr": subprocess.PIPE}
        latin = os.environ | {"PYTHONIOENCODING": "latin-1"}
        done = started("tag", toy_run, album, "--top-k", 1, "--sidecars", env=latin, **options)
    assert done.returncode == 1 and {f"{name}.xmp" for name in HOSTILE} <= {path.name for path in album.iterdir()}
    last = done.stderr.decode("latin-1").splitlines()[-1]
    assert last.startswith("zerotag: not all of the output could be written (No space left on device)")


def test_json_goes_to_standard_output_also_beside_a_terminal(album: Path, toy_run: Path) -> None:
    ours, theirs = pty.openpty()
    seen = bytearray()
    reading = threading.Thread(target=_read_all, args=(ours, seen), daemon=True)
    reading.start()
    ascii_alone = os.environ | {"PYTHONIOENCODING": "ascii", "TERM": "xterm"}
    options = {"capture_output": False, "stdout": subprocess.PIPE, "stderr": theirs}
    done = started("tag", toy_run, album, "--json", env=ascii_alone, **options)
    os.close(theirs)
    reading.join(10)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row.get("path") for row in rows] == [*sorted(HOSTILE), None] and done.stdout.isascii()
    assert b"Tagging pictures" in seen and b'"path"' not in seen


def _read_all(descriptor: int, seen: bytearray) -> None:
    while True:
        try:
            seen += os.read(descriptor, 65536)
        except OSError:  # the other end was closed
            return


def test_numbers_that_are_not_finite_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    console.say_json({"a": float("nan"), "b": [float("inf"), 1.5], "写": None})
    assert capsys.readouterr().out == '{"a": null, "b": [null, 1.5], "\\u5199": null}\n'


def test_a_stream_that_does_not_wait_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    seen = bytearray()
    with FileIO(writing, "w") as raw:
        reader = threading.Thread(target=lambda: [time.sleep(0.2), _read_until_closed(reading, seen)])
        reader.start()
        stream, sent = Enduring(raw), 0
        while sent < 300_000:
            sent += stream.write(b"x" * (300_000 - sent))
    reader.join(10)
    assert len(seen) == 300_000 and stream.error is None


def _read_until_closed(descriptor: int, seen: bytearray) -> None:
    while some := os.read(descriptor, 65536):
        seen += some
    os.close(descriptor)


def test_ctrl_c_says_how_to_go_on_where_one_can(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "app", stop)
    before = signal.getsignal(signal.SIGINT)
    try:
        assert shell("models")[::2] == (130, "zerotag: stopped\n")
        assert shell("tag", "x", "y")[::2] == (130, "zerotag: stopped; the same command goes on from here\n")
        assert shell("data", "build", "x")[2] == "zerotag: stopped; the same command goes on from here\n"
        assert shell("data", "check", "x")[2] == "zerotag: stopped\n"
        assert "with --resume" in shell("train", "x")[2]
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_during_imports_is_quiet() -> None:
    stopping = (
        "import builtins, sys\n"
        "from zerotag.cli import main\n"
        "real = builtins.__import__\n"
        "def stop(name, *rest):\n"
        "    if name.startswith('rich'):\n"
        "        raise KeyboardInterrupt\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = stop\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", stopping], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "")


def test_worker_processes_import_little() -> None:
    loaded = "import sys, zerotag.cli; print(sorted({'typer', 'rich', 'numpy', 'torch'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_ctrl_c_while_a_command_imports_unwinds_nothing(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import time\ntry:\n    print('begun', flush=True)\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    print('unwound')\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from zerotag.cli import program; "
        "program.app = lambda: __import__('slow'); program.run()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"zerotag: stopped\n")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_stopped_while_its_workers_start_leaves_nothing_behind(
    number: signal.Signals, status: int, album: Path, toy_run: Path, tmp_path: Path
) -> None:
    command = [*ZEROTAG, "tag", str(toy_run), str(album), "--sidecars"]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    workers: list[str] = []
    while process.poll() is None and not workers:
        time.sleep(0.005)
        workers = _workers(process.pid)
    time.sleep(0.1)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (status, b"") and b"Traceback" not in err
    assert (b"the same command goes on from here" in err) == (number == signal.SIGINT)
    assert not list(tmp_path.rglob("*.partial")) and not any(Path(f"/proc/{worker}").exists() for worker in workers)


def _workers(pid: int) -> list[str]:
    found = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = thread.read_text().split()
            found += [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        except OSError:  # it ended just now
            continue
    return found


def test_a_cache_that_cannot_be_used_names_its_variable(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = cache_folder() / "vectors"

    def fail() -> None:
        raise PermissionError(13, "Permission denied", str(inside))

    with monkeypatch.context() as patch:
        patch.setattr(program, "app", fail)
        code, _, err = shell("features", "x")
    assert code == 1 and err.endswith("Permission denied; set ZEROTAG_CACHE to a folder where you may write\n")
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZEROTAG_CACHE", str(tmp_path / "file" / "cache"))
    code, out, _ = shell("doctor", "--json")
    cache = next(finding for finding in json.loads(out) if finding["name"] == "cache")
    assert code == 1 and cache["state"] == "failed" and "set ZEROTAG_CACHE to a folder" in cache["detail"]
