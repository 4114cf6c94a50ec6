"""`python -m samovar.broker`: the daemon in the foreground, with nothing but its two settings. Used by tests."""

import argparse
import sys

from samovar.broker import serve

parser = argparse.ArgumentParser(prog="python -m samovar.broker")
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--idle-seconds", type=float, default=600.0)
options = parser.parse_args()
sys.exit(serve(port=options.port, idle_seconds=options.idle_seconds))
