"""``kptrack cameras``: what is plugged in."""

from __future__ import annotations

import json
import sys

from tracker.camera import find_cameras


def list_cameras(as_json: bool) -> None:
    """Print index and name of each, or that there is none."""
    found = find_cameras()
    if as_json:
        print(json.dumps([{"index": each.index, "name": each.name} for each in found], indent=2))
        return
    for each in found:
        print(f"{each.index}  {each.name}")
    if not found:
        print("no camera is plugged in", file=sys.stderr)
