"""The link between an editor plug-in and the Samovar daemon: messages, codec, ZMTP, client, discovery.

Standard library and msgpack only; Python 3.10 syntax. Copied into each plug-in at install time.
"""
