"""``kptrack doctor``: what this installation has, what it lacks, what to do."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

from ui.machine import machine, versions

# Probe, what it is for, and whether the commands of this version need it.
_CHECKS = (
    ("torch", "running a model", True),
    ("weights", "shipped models", True),
    ("opencv", "finding faces", True),
    ("video", "reading and writing video", True),
    ("qt", "the window of `kptrack live`", False),
    ("compiler", "--runtime compile", False),
    ("tensorrt", "--runtime tensorrt", False),
)
_PATIENCE_S = 120


def examine() -> dict[str, Any]:
    """``{"ok", "machine", "versions", "checks": [{"name", "for", "status", "detail"}]}``.

    ``status`` is ok, missing (a command will fail) or absent (something optional).
    """
    installed = versions()
    checks = [
        {"name": name, "for": "a package of kptrack", "status": "missing", "detail": f"pip install {name}"}
        for name, number in installed.items()
        if number is None
    ]
    for name, purpose, needed in _CHECKS:
        good, detail = _probe(name)
        status = "ok" if good else ("missing" if needed else "absent")
        checks.append({"name": name, "for": purpose, "status": status, "detail": detail})
    gpu = machine()["gpu"]
    checks.append(
        {
            "name": "gpu",
            "for": "speed",
            "status": "ok" if gpu else "absent",
            "detail": str(gpu or "no NVIDIA GPU; everything runs on the processor"),
        }
    )
    ok = all(each["status"] != "missing" for each in checks)
    return {"ok": ok, "machine": machine(), "versions": installed, "checks": checks}


def _probe(name: str) -> tuple[bool, str]:
    """Whether the probe ended well, and its line or the last line of its complaint."""
    command = [sys.executable, "-m", "ui.probes", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return False, f"no answer within {_PATIENCE_S} s"
    if done.returncode == 0:
        return True, done.stdout.strip()
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if not lines:
        return False, f"ended with code {done.returncode}"
    return False, re.sub(r"^[\w.]*(Error|MissingCapability): ", "", lines[-1].strip())


def show(found: dict[str, Any]) -> None:
    """The findings for people, on stdout."""
    for name, value in found["machine"].items():
        print(f"{name:>14}  {value if value is not None else 'none'}")
    for name, number in found["versions"].items():
        print(f"{name:>14}  {number or 'not installed'}")
    print()
    for check in found["checks"]:
        print(f"{check['status']:>8}  {check['name']} ({check['for']}): {check['detail']}")
