"""Where else the daemon may listen: `samovar serve --listen tcp://HOST:PORT`."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

_FORM = "tcp://HOST:PORT, HOST an address of this machine in digits (IPv6 in brackets), or 0.0.0.0 for all of them"


class BadAddress(ValueError):
    """What was given is no address that can be listened at; the message is for the user."""


@dataclass(frozen=True)
class Address:
    """endpoint : as libzmq takes it; curve : whether keys are asked for, or the token"""

    endpoint: str
    curve: bool
    ipv6: bool = False


def parse(given: str, *, curve: bool) -> Address:
    """Raises BadAddress for what is no address, and for one that other machines reach without keys."""
    scheme, _, place = given.partition("://")
    host, _, port = place.rpartition(":")
    if scheme != "tcp" or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise BadAddress(f"--listen is {given!r}; allowed: {_FORM}")
    try:
        ip = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise BadAddress(f"--listen is {given!r}; allowed: {_FORM}") from None
    if not curve and not ip.is_loopback:
        raise BadAddress(
            f"{host} can be reached from other machines, so it is opened only with keys: add --curve "
            "(samovar keys tells how to let a machine in), or listen at 127.0.0.1"
        )
    if ip.version == 6 and not curve:
        raise BadAddress(f"{host} is IPv6, which is opened only with keys: add --curve, or listen at 127.0.0.1")
    where = f"[{ip}]" if ip.version == 6 else str(ip)
    return Address(f"tcp://{where}:{int(port) or '*'}", curve, ip.version == 6)
