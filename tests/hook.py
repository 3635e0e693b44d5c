"""A webhook on loopback: it keeps what it is sent, and answers as it is told to."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Hook:
    """Answers with ``statuses`` one after the other, the last one for ever; None hangs."""

    path = "/services/T000/B000/sEcReT"

    def __init__(self, *statuses: int | None) -> None:
        self._statuses = list(statuses) or [200]
        self._lock = threading.Lock()
        self._released = threading.Event()
        self.tried: list[tuple[str, Any]] = []
        """Every try: the path, and the body."""
        self.taken: list[Any] = []
        """The bodies that were answered with success."""
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                status = hook._take(self.path, json.loads(self.rfile.read(length)))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}{self.path}"

    def _take(self, path: str, body: object) -> int:
        with self._lock:
            status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
            self.tried.append((path, body))
        if status is None:
            self._released.wait()
            return 503
        if status < 300:
            self.taken.append(body)
        return status

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
