"""The link between an editor plug-in and the Samovar daemon: messages, codec, ZMTP, client, discovery.

Standard library and msgpack only; Python 3.10 syntax. Copied into each plug-in at install time, so all imports
inside are relative. This module re-exports what a plug-in needs.
"""

from .client import Client as Client
from .client import connect as connect
from .discovery import ConnectionFile as ConnectionFile
from .errors import BadRequest as BadRequest
from .errors import Busy as Busy
from .errors import DaemonUnavailable as DaemonUnavailable
from .errors import InternalError as InternalError
from .errors import ModelUnavailable as ModelUnavailable
from .errors import OutOfMemory as OutOfMemory
from .errors import ProtocolError as ProtocolError
from .errors import RemoteError as RemoteError
from .errors import UnknownJob as UnknownJob
from .errors import WorkerCrashed as WorkerCrashed
from .launch import DaemonStarter as DaemonStarter
from .launch import connect_or_start as connect_or_start
from .launch import daemon_command as daemon_command
from .messages import *  # noqa: F403
