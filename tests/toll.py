"""A toll gate before a server: lets everything through, and stops one request when told to.

It stands on a TCP level, one thread a connection, so that it can hold a request before the server
sees it, or an answer that the client never gets.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Literal, Self
from urllib.parse import urlsplit

Place = Literal["request", "answer"]
_CHUNK = 65_536


class TollGate:
    """Stops the first request that contains ``marker``, at ``place``, until ``release``."""

    def __init__(self, url: str, *, marker: bytes, place: Place) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 80)
        self._marker = marker
        self._place = place
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.stopped = threading.Event()
        """Set once a request has been stopped."""
        self._released = threading.Event()
        self._open: list[socket.socket] = []

    def release(self) -> None:
        """Let what was stopped, and everything after it, through."""
        self._released.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closed first: what is still stopped must not reach the server after all.
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.close()
        self.release()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._open += [client, server]
                answers = threading.Event()
                answers.set()
                for target, args in (
                    (self._requests, (client, server, answers)),
                    (self._answers, (server, client, answers)),
                ):
                    threading.Thread(target=target, args=args, daemon=True).start()

    def _requests(
        self, client: socket.socket, server: socket.socket, answers: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(_CHUNK):
                if self._marker in data.replace(b'": ', b'":') and not self.stopped.is_set():
                    if self._place == "answer":
                        answers.clear()
                        server.sendall(data)
                    self.stopped.set()
                    self._released.wait()
                    answers.set()
                    if self._place == "answer":
                        continue
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answers(
        self, server: socket.socket, client: socket.socket, answers: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(_CHUNK):
                answers.wait()
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)
