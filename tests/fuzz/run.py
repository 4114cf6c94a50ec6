"""A bounded run of all targets under libFuzzer, led by coverage: `make fuzz`.

    python tests/fuzz/run.py [TARGET...]     environment: FUZZ_SECONDS for each target (20), or FUZZ_RUNS
    python tests/fuzz/run.py --again FILE    once, without libFuzzer: what a finding does; the folder names the target

Prints executions, rate, slowest input and memory of each, and fails on a finding, whose input is left in
`tests/fuzz/findings/TARGET/`.
"""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FINDINGS = HERE / "findings"
PATHS = [str(path) for path in (HERE, HERE.parent, ROOT / "daemon", ROOT / "shared")]
LED_BY = ["samovar", "samovar_link"]
"""Not msgpack: its pure-Python reader led by coverage is ten times as slow; `packing` writes what it reads."""

STANDS_STILL_SECONDS = 10
"""Of the clock, until libFuzzer ends an input that does not come back; the watch's second is one of the processor."""
LIBFUZZER_BYTES = 192 << 20
"""What libFuzzer itself may come to hold: its corpus and its tables."""


def main(arguments: list[str]) -> int:
    sys.path[:0] = PATHS
    if arguments[:1] == ["--again"]:
        return again(Path(arguments[1]))
    if arguments[:1] == ["--led"]:
        return led(arguments[1], Path(arguments[2]), arguments[3:])
    from target import discover

    targets = discover()
    if unknown := [name for name in arguments if name not in targets]:
        print(f"no target {', '.join(unknown)}; there are {', '.join(targets)}", file=sys.stderr)
        return 2
    print(f"{'target':20}{'executions':>12}{'a second':>10}{'slowest s':>11}{'peak MiB':>10}{'grown MiB':>10}  found")
    return max(fuzz(name) for name in arguments or targets)


def fuzz(name: str) -> int:
    """One target in a process of its own; 1 if it found something."""
    from target import discover

    target = discover()[name]
    folder = FINDINGS / name
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="samovar-fuzz-") as temporary:
        seeds, words, told = Path(temporary) / "seeds", Path(temporary) / "words", Path(temporary) / "told.json"
        seeds.mkdir()
        for number, content in enumerate(target.short()):
            (seeds / str(number)).write_bytes(content)
        words.write_text("".join(map(_quoted, target.words)))
        dictionary = [f"-dict={words}"] if target.words else []
        runs, seconds = os.environ.get("FUZZ_RUNS"), os.environ.get("FUZZ_SECONDS") or "20"
        command = [
            sys.executable, __file__, "--led", name, str(told), str(seeds), *dictionary,
            f"-artifact_prefix={folder}{os.sep}", f"-timeout={STANDS_STILL_SECONDS}", f"-max_len={target.most_bytes}",
            "-print_final_stats=1", f"-runs={runs}" if runs else f"-max_total_time={seconds}",
        ]  # fmt: skip
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        seen = json.loads(told.read_text()) if told.exists() else {}
    figures = {key: int(value) for key, value in re.findall(r"stat::(\w+):\s+(\d+)", done.stdout)}
    found = "" if done.returncode == 0 else _last_words(done.stdout)
    executions = figures.get("number_of_executed_units", seen.get("executions", 0))
    print(
        f"{name:20}{executions:12}{figures.get('average_exec_per_sec', 0):10}{seen.get('slowest_seconds', 0):11.3f}"
        f"{figures.get('peak_rss_mb', 0):10}{seen.get('grown_bytes', 0) >> 20:10}  {found}", flush=True,
    )  # fmt: skip
    if found:
        (folder / "log.txt").write_text(done.stdout)
    elif not any(folder.iterdir()):
        folder.rmdir()
    return int(bool(found))


def _quoted(word: bytes) -> str:
    """A line of libFuzzer's dictionary."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n'


def _last_words(output: str) -> str:
    """The exception or libFuzzer's summary, and where the input is."""
    said = re.search(r"Uncaught Python exception: ===\n(.*)", output) or re.search(r"(?:ERROR|SUMMARY): (.*)", output)
    file = re.search(r"Test unit written to (\S+)", output)
    return f"{said.group(1) if said else output[-300:]} {file.group(1) if file else ''}"


def led(name: str, told: Path, options: list[str]) -> int:
    """The inner process: libFuzzer calls the target. Does not come back."""
    import atheris

    with atheris.instrument_imports(include=LED_BY, enable_loader_override=False):
        import target as module

        target = module.discover()[name]
    watch = module.Watch(target)
    for content in target.short():
        watch(content)
    gc.collect()
    gc.freeze()  # what was imported is not looked through again and again
    limit = (module.peak_bytes() + LIBFUZZER_BYTES) >> 20

    def one(data: bytes) -> None:
        slowest, grown = watch.slowest_seconds, watch.grown_bytes
        try:
            watch(data)
        finally:
            if watch.executions % 1000 == 0 or watch.slowest_seconds > slowest or watch.grown_bytes > grown:
                told.write_text(json.dumps({
                    "executions": watch.executions, "slowest_seconds": watch.slowest_seconds,
                    "grown_bytes": watch.grown_bytes,
                }))  # fmt: skip

    atheris.Setup([sys.argv[0], *options, f"-rss_limit_mb={limit}"], one)
    atheris.Fuzz()
    return 0


def again(path: Path) -> int:
    """One input, as it is."""
    from target import Watch, discover

    watch = Watch(discover()[path.resolve().parent.name])
    watch(path.read_bytes())
    print(f"nothing found; {watch.slowest_seconds:.3f} s, {watch.grown_bytes >> 20} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
