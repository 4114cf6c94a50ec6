"""A model that has to be fetched: a small network on a server of ours, offered by a daemon that is started with
`environment`. Everything between the catalogue and the network is the real thing."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ID, TITLE = "test/tiny-x2", "Tiny"

_CARD = """
from samovar.card import ModelCard, WeightFile

CARDS = (
    ModelCard(
        id={id!r}, title={title!r}, operations=("upscale",), network="foreign", scale=2, receptive_field=32,
        weights={{"": WeightFile("", "{id}/tiny.pth", {sha256!r}, {url!r}, {size})}}, licence="CC-BY-NC-4.0",
        source={source!r}, help="For tests.", architecture="Compact", commercial=False,
    ),
)
"""
_SITE = """
import os
import samovar.models

samovar.models.__path__.append(os.environ["TEST_MODELS"])
"""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        model: DistantModel = self.server.model  # type: ignore[attr-defined]
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        model.starts.append(start)
        content = model.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(model.content) - 1}/{len(model.content)}")
        self.end_headers()
        for at in range(0, len(content), 4096):
            try:
                self.wfile.write(content[at : at + 4096])
            except OSError:  # nobody listens any more
                return
            model.flow.wait()
            time.sleep(model.pause_seconds)

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class DistantModel:
    """flow : cleared, the server holds its breath after each piece; pause_seconds : between pieces

    starts : from which byte each request wanted the file; environment : for a daemon that is to offer the model
    """

    content: bytes
    environment: dict[str, str]
    flow: threading.Event = field(default_factory=threading.Event)
    pause_seconds: float = 0.0
    starts: list[int] = field(default_factory=list)

    def declare(self, operations: Path) -> None:
        """Let a plug-in that reads this file know of the model, as `samovar install` would."""
        declared: dict[str, Any] = json.loads(operations.read_text())
        like = next(each for each in declared["models"] if "upscale" in each["operations"])
        news = {
            "id": ID, "title": TITLE, "available": False, "download_bytes": len(self.content), "commercial": False,
            "licence": "CC-BY-NC-4.0", "noise_levels": [], "help": "For tests.",
        }  # fmt: skip
        declared["models"].append({**like, **news})
        operations.write_text(json.dumps(declared))


@contextmanager
def distant_model(folder: Path) -> Iterator[DistantModel]:
    """Serve one, of which everything lies in the folder."""
    from architectures import compact, save  # and with it torch

    content = save(compact(), folder / "tiny.pth").read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    (folder / "cards").mkdir()
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(_SITE)
    (folder / "cards" / "distant.py").write_text(
        _CARD.format(
            id=ID,
            title=TITLE,
            sha256=hashlib.sha256(content).hexdigest(),
            url=f"{url}/tiny.pth",
            size=len(content),
            source=url,
        )  # fmt: skip
    )
    environment = {"PYTHONPATH": str(folder / "site"), "TEST_MODELS": str(folder / "cards"), "NO_PROXY": "127.0.0.1"}
    model = DistantModel(content, environment)
    model.flow.set()
    server.model = model  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield model
    finally:
        model.flow.set()
        server.shutdown()
        server.server_close()
        thread.join()
