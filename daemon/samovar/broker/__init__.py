"""The broker: the daemon's front. Owns the sockets and the queue, imports no torch, never waits."""

from samovar.broker.serve import serve

__all__ = ["serve"]
