"""The worker of a daemon whose jobs are done by another one: on the machine with the graphics card."""

from __future__ import annotations

import sys

from samovar import keys
from samovar_link.errors import BadRequest


def command(address: str, server_key: str) -> tuple[str, ...]:
    """What starts that worker. Raises BadRequest for what is no address or no key.

    address : tcp://HOST:PORT; server_key : of the daemon there
    """
    scheme, _, place = address.partition("://")
    host, _, port = place.rpartition(":")
    if scheme != "tcp" or not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise BadRequest.field("--upstream", address, "tcp://HOST:PORT, where the other machine listens")
    if not server_key:
        raise BadRequest("--upstream needs --server-key", "samovar keys prints it on the other machine")
    return sys.executable, "-m", "samovar.upstream.process", address, keys.checked(server_key)
