"""The origin of numbers: command, date, commit, machine and versions, and the runs behind the rows of a report.

Knows rows and this machine; nothing of methods and files of an evaluation. Read top to bottom:

    facts, now    of this call, for every record
    new_run       a line of runs.jsonl
    origins       the runs that rows were computed in
    provenance    the warning of a report whose rows are not all of one run
"""

import hashlib
import json
import os
import platform
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from hdmatt import __version__
from hdmatt.evaluation.ledger import ScoreRow
from hdmatt.evaluation.methods import Settings


def facts(settings: Settings, command: str) -> dict[str, Any]:
    """The facts that let somebody else repeat a call: command, date, commit, machine, versions."""
    return {
        "command": command,
        "date": now(),
        "commit": _commit(),
        "machine": _machine(settings),
        "versions": _versions(),
    }


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_run(known: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """A line of runs.jsonl: the `facts` of a call and its settings, named by their checksum."""
    record = {**known, "settings": settings.record()}
    return {"run": hashlib.sha256(json.dumps(record).encode()).hexdigest()[:8], **record}


def origins(rows: Sequence[ScoreRow], runs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The runs that rows are of, oldest first, each with the number of its rows; null where nothing was recorded."""
    unknown = dict.fromkeys(("command", "date", "commit", "machine", "versions", "settings"))
    counts = Counter(row.run for row in rows)
    found = [{"run": run or None, **unknown, **runs.get(run, {}), "rows": count} for run, count in counts.items()]
    return sorted(found, key=lambda one: one["date"] or "")


def provenance(rows: Sequence[ScoreRow], runs: Sequence[Mapping[str, Any]], this: str) -> str:
    """A warning for readers who compare times and memory; "" where all rows are of the run called `this`.

    Args:
        runs: As `origins` gives them.
    """
    if [one["run"] for one in runs] == [this] or not runs:
        return ""
    parts: list[str] = []
    if len(runs) > 1:
        known = [one for one in runs if one["date"] is not None]
        differ = [n for n in ("commit", "machine", "versions") if len({json.dumps(one[n]) for one in known}) > 1]
        for name in ("memory_limit", "batch"):
            by_method = {(row.method, getattr(row, name)) for row in rows}
            if len(by_method) > len({method for method, _ in by_method}):
                differ.append(name.replace("_", " "))
        same = "of the same commit, machine, versions, memory limit and batch"
        parts.append(f"rows are of {len(runs)} runs, " + (f"which differ in {', '.join(differ)}" if differ else same))
    elif runs[0]["date"] is not None:
        parts.append(f"all rows are of an earlier run, {runs[0]['date']}, commit {runs[0]['commit'] or 'unknown'}")
    if lost := sum(one["rows"] for one in runs if one["date"] is None):
        parts.append(f"where {lost} of {len(rows)} rows were computed was not recorded")
    return "; ".join(parts)


def _commit() -> str | None:
    """The commit this module comes from; "+" where tracked files differ; None outside of a checkout of ours."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            run = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return run.stdout.strip() if run.returncode == 0 else None

    if git("ls-files", "--error-unmatch", "__init__.py") is None or (commit := git("rev-parse", "HEAD")) is None:
        return None
    return commit + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def _machine(settings: Settings) -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
        cpu = found[1] if found else cpu
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "usable_cores": usable,
        "ram_bytes": psutil.virtual_memory().total,
        "system": platform.system(),
    }
    if settings.network.device.startswith("cuda"):
        import torch

        machine["gpu"] = ", ".join(torch.cuda.get_device_name(name) for name in settings.network.device.split(","))
    return machine


def _versions() -> dict[str, str]:
    versions = {"hdmatt": __version__, "python": platform.python_version()}
    for name in ("numpy", "scipy", "opencv-python-headless", "OpenImageIO", "torch", "pymatting", "transformers"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
