"""The command line, as the tests call it."""

from __future__ import annotations

import sys

import pytest

from zerotag import cli

Result = tuple[int, str, str]


class Shell:
    """Runs the command line in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys
        monkeypatch.setenv("COLUMNS", "200")

    def __call__(self, *words: object) -> Result:
        self.monkeypatch.setattr(sys, "argv", ["zerotag", *map(str, words)])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
            sys.exit(0)
        out, err = self.capsys.readouterr()
        return int(stopped.value.code or 0), out, err
