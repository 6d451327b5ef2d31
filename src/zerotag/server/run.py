"""A server for a tagged folder, or for a model alone, on this machine's loopback address."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

from zerotag.errors import MissingPackageError, ZerotagError
from zerotag.server.service import Service
from zerotag.tagging.catalogue import catalogue_of
from zerotag.tagging.tagged import opened
from zerotag.tagging.tagger import Tagger
from zerotag.tagging.words import read_words

ADDRESS = "127.0.0.1"


def run(what: str, labels: str | None, port: int, *, any_user: bool = False) -> None:
    """Serve until it is stopped, which takes five seconds at most.

    Raises:
        MissingPackageError: FastAPI or uvicorn is not installed.
        ZerotagError: there is neither such a catalogue nor such a model, or the port is taken.
    """
    try:
        from zerotag.server.app import create_app
        from zerotag.server.stopping import serve
    except ModuleNotFoundError as error:
        raise MissingPackageError(str(error.name), "server", "zerotag serve") from error
    words = None if labels is None else read_words(labels)
    with ExitStack() as stack:
        if catalogue_of(Path(what)).is_file():
            library = stack.enter_context(opened(Path(what)))
            service = Service(library.model, library.tagger, words or library.vocabulary.words, library)
        else:
            service = Service(what, Tagger.load(what), words)
        listening = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((ADDRESS, port))
            listening.listen()  # who reads the address may ask at once
        except OSError as error:
            raise ZerotagError(f"port {port} cannot be used ({error.strerror}); choose another with --port") from error
        print(f"http://{ADDRESS}:{listening.getsockname()[1]}  (Ctrl-C stops it)", flush=True)
        serve(create_app(service), listening, any_user=any_user)
