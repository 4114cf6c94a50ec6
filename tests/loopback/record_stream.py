"""Records what a real libzmq ROUTER says to a client, for tests/unit/test_zmtp_recorded.py. Run once, by hand:

    python tests/loopback/record_stream.py

PLAIN handshake, a PING, then messages with frames of every header form.
"""

from __future__ import annotations

import socket
import tempfile
import time
from pathlib import Path

from router import Router

from samovar_link.messages import Done, Hello, Message, Welcome
from samovar_link.zmtp import Dealer, MessageReceived

FILE = Path(__file__).parent.parent / "unit" / "data" / "router_plain.bin"
FRAME_BYTES = (0, 1, 255, 256, 1000, 17_000)


def _answer(message: Message, frames: list[object]) -> list[tuple[Message, list[object]]]:
    assert isinstance(message, Hello)
    pixels: list[object] = [bytes(i * 7 % 251 for i in range(size)) for size in FRAME_BYTES]
    return [(Welcome(version="recorded"), []), (Done(job="a"), pixels), (Done(job="b"), [])]


def main() -> None:
    import zmq

    from samovar_link import codec

    with (
        tempfile.TemporaryDirectory() as folder,
        Router(f"ipc://{folder}/s", _answer, {zmq.HEARTBEAT_IVL: 100}) as router,  # type: ignore[arg-type]
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(router.endpoint.removeprefix("ipc://"))
        dealer, stream, messages, asked = Dealer(now=0.0, password="open sesame"), b"", 0, False
        while messages < 3:
            while buffers := dealer.outgoing():
                dealer.sent(client.sendmsg(buffers))
            buffer = dealer.receive_buffer()
            count = client.recv_into(buffer)
            stream += bytes(buffer[:count])
            messages += sum(isinstance(event, MessageReceived) for event in dealer.received(count, 0.0))
            if b"PING" in stream and not asked:
                asked = True
                dealer.send([codec.encode(Hello(client="recorder"))])
            time.sleep(0.01)
    FILE.write_bytes(stream)
    print(f"{FILE}: {len(stream)} bytes")


if __name__ == "__main__":
    main()
