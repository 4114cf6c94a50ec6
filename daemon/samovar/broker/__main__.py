"""`python -m samovar.broker`: the daemon in the foreground, with nothing but its few settings. Used by tests."""

import argparse
import json
import sys

from samovar.broker import serve
from samovar.broker.address import BadAddress, parse
from samovar.broker.port import Bounds
from samovar.broker.worker_process import COMMAND
from samovar.upstream import command

parser = argparse.ArgumentParser(prog="python -m samovar.broker")
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--idle-seconds", type=float, default=600.0)
parser.add_argument("--listen", action="append", default=[])
parser.add_argument("--curve", action="store_true")
parser.add_argument("--bounds", type=json.loads, default={})
parser.add_argument("--upstream", default="")
parser.add_argument("--server-key", default="")
options = parser.parse_args()
bounds = Bounds(**{"idle_seconds": options.idle_seconds, **options.bounds})
try:
    listen = [parse(each, curve=options.curve) for each in options.listen]
except BadAddress as error:
    parser.error(str(error))
worker = command(options.upstream, options.server_key) if options.upstream else COMMAND
sys.exit(serve(port=options.port, bounds=bounds, listen=listen, worker_command=worker))
