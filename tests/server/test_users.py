"""Other users of this machine are turned away, where the system tells whose connection one is."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from serving import HEALTH, served
from starlette.responses import PlainTextResponse

from zerotag.server.connections import Connection
from zerotag.server.users import TABLES, Users

SERVER, CLIENT = ("127.0.0.1", 8017), ("127.0.0.1", 40001)
LISTENS = "0: 0100007F:1F51 00000000:0000 0A 0:0 00:0 0 1000 0 202863 1"
ROW = "2: {address}:9C41 0100007F:1F51 {state} 0:0 00:0 0 {user} 0 {inode} 2"
on_linux = pytest.mark.skipif(not TABLES[0].is_file(), reason="this system does not tell whose a socket is")


def users_of(folder: Path, *rows: str) -> Users:
    (folder / "tcp").write_text("\n".join(["sl local_address rem_address st ...", LISTENS, *rows, ""]))
    return Users(SERVER, (folder / "none", folder / "tcp"))


@pytest.mark.parametrize("address", ["0100007F", "0000000000000000FFFF00000100007F"])
@pytest.mark.parametrize(
    ("user", "inode", "may_ask"), [("own", "7", True), ("0", "7", True), ("4242", "7", False), ("0", "0", False)]
)
def test_who_may_ask(tmp_path: Path, address: str, user: str, inode: str, may_ask: bool) -> None:
    user = str(os.getuid()) if user == "own" else user
    users = users_of(tmp_path, ROW.format(address=address, state="01", user=user, inode=inode))
    assert users.can_tell and users.may_ask(CLIENT, SERVER) is may_ask
    assert not users.may_ask(("127.0.0.1", 40002), SERVER)  # nobody's


def test_where_the_system_does_not_tell_all_may_ask(tmp_path: Path) -> None:
    users = Users(SERVER, (tmp_path / "none",))
    assert not users.can_tell and users.may_ask(CLIENT, SERVER)


ASK = """
import socket, sys
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
client.sendall(sys.argv[2].encode())
print(client.recv(999).decode())
"""


@on_linux
def test_a_program_of_another_user_is_turned_away() -> None:
    class Checked(Connection):
        pass

    with served(PlainTextResponse("secret"), Checked) as address:
        Checked.users = Users(("127.0.0.1", address.port))
        assert Checked.users.can_tell and address.ask(HEALTH).endswith(b"secret")
        with socket.socket(socket.AF_INET6) as mapped:
            mapped.connect(("::ffff:127.0.0.1", address.port))
            mapped.sendall(HEALTH)
            assert mapped.recv(1000).startswith(b"HTTP/1.1 200")
        if os.getuid() == 0 and shutil.which("setpriv") and Path("/usr/bin/python3").exists():
            other = ["setpriv", "--reuid=65534", "--clear-groups", "/usr/bin/python3", "-c", ASK]
            told = subprocess.run(
                [*other, str(address.port), HEALTH.decode()], capture_output=True, text=True, cwd="/", check=True
            )
            assert told.stdout.startswith("HTTP/1.1 403") and "secret" not in told.stdout
