"""Files that have the daemon started at login: by systemd, by launchd, or from the Startup folder of Windows.

Editors and commands start the daemon by themselves; a service has it there before them, and again after a crash. It
runs as this user, with the variables that are set for Samovar now.

Hardening stops where it would take something away: no MemoryDenyWriteExecute (graphics cards' and OpenVINO's compilers
write code), no PrivateDevices (the card is one), no file system that is hidden (models may lie anywhere). The ways of
macOS and Windows are written by their documentation, and were not tried there.
"""

from __future__ import annotations

import os
import plistlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SYSTEMD, LAUNCHD, WINDOWS = KINDS = ("systemd", "launchd", "windows")
UNIT = "samovar.service"
LABEL = "org.samovar.daemon"
_PASSED_ON = ("SAMOVAR_HOME", "SAMOVAR_RUNTIME", "SAMOVAR_LOG", "SAMOVAR_UPSTREAM", "SAMOVAR_SERVER_KEY")


@dataclass(frozen=True)
class Service:
    """path : where the manager looks for it; text : what it is to hold"""

    kind: str
    path: Path
    text: str

    def state(self) -> str:
        """ "none", "current", or "other": of an earlier version, or changed by hand"""
        try:
            return "current" if self.path.read_text(encoding="utf-8") == self.text else "other"
        except FileNotFoundError:
            return "none"

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.text, encoding="utf-8")

    def remove(self) -> bool:
        """Whether there was one."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True


def kind_here() -> str:
    return {"darwin": LAUNCHD, "win32": WINDOWS}.get(sys.platform, SYSTEMD)


def describe(kind: str, command: Sequence[str] = (sys.executable, "-m", "samovar")) -> Service:
    """The service of this user, for one of KINDS. command : argv prefix that reaches the samovar program"""
    environment = {name: os.environ[name] for name in _PASSED_ON if os.environ.get(name)}
    if "SAMOVAR_HOME" in environment:
        environment["SAMOVAR_HOME"] = os.path.abspath(environment["SAMOVAR_HOME"])
    path, text = {SYSTEMD: (_unit_path, unit), LAUNCHD: (_agent_path, agent), WINDOWS: (_startup_path, startup)}[kind]
    return Service(kind, path(), text(command, environment))


# --- systemd --------------------------------------------------------------------------------------------------------


def _unit_path() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user" / UNIT


def unit(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """A user unit, see systemd.service(5) and systemd.exec(5)."""
    variables = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in environment.items())
    line = " ".join(map(_quoted_word, [*command, "serve"]))
    return f"""\
# Written by: samovar service install
[Unit]
Description=Samovar, which keeps image models hot for Krita and GIMP
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=notify
ExecStart={line}
WorkingDirectory=/
{variables}Restart=on-failure
RestartSec=2
TimeoutStartSec=30
TimeoutStopSec=20
# The daemon ends its worker, and puts aside what is under way; what is left after that is killed.
KillMode=mixed
LimitNOFILE=65536
UMask=0077
NoNewPrivileges=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK

[Install]
WantedBy=default.target
"""


def _quoted(text: str) -> str:
    """In the syntax of systemd: quotes, and its specifiers doubled."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return f'"{escaped}"'


def _quoted_word(word: str) -> str:
    """Of a command line, in which variables are replaced as well."""
    return _quoted(word.replace("$", "$$"))


# --- launchd --------------------------------------------------------------------------------------------------------


def _agent_path() -> Path:
    return Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"


def agent(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """A launch agent, see launchd.plist(5)."""
    return plistlib.dumps({
        "Label": LABEL,
        "ProgramArguments": [*command, "serve"],
        "EnvironmentVariables": dict(environment),
        "WorkingDirectory": "/",
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},  # again after a crash, not after samovar stop
        "ThrottleInterval": 5,
        "ExitTimeOut": 20,
        "Umask": 0o077,
        "SoftResourceLimits": {"NumberOfFiles": 65536},
        "StandardErrorPath": os.devnull,  # samovar logs has it all
    }, sort_keys=False).decode()  # fmt: skip


# --- Windows --------------------------------------------------------------------------------------------------------


def _startup_path() -> Path:
    roaming = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    return roaming / "Microsoft" / "Windows" / "Start Menu" / "Programs" / "Startup" / "samovar.cmd"


def startup(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """A command file that starts the daemon and ends; its window shows for a moment, minimized."""
    lines = [f'set "{name}={_in_batch(value)}"' for name, value in environment.items()]
    words = " ".join(f'"{_in_batch(word)}"' for word in [*command, "serve", "--detach"])
    return "\r\n".join(["@echo off", "rem Written by: samovar service install", *lines, f'start "" /min {words}', ""])


def _in_batch(text: str) -> str:
    return text.replace("%", "%%")
