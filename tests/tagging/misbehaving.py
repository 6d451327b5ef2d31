"""A reader that hangs, dies or is greedy, in a module that imports nothing large: workers have little memory."""

from __future__ import annotations

import os
import time
from pathlib import Path


def read(path: Path) -> bytes:
    if "hang" in path.name:
        time.sleep(600)
    if "die" in path.name:
        os._exit(11)
    if "greedy" in path.name:
        return bytes(bytearray(700 * 2**20)[:1])
    return path.name.encode()
