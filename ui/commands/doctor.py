"""``kptrack doctor``."""

from __future__ import annotations

import json

import typer

from ui.commands.options import Json


def doctor(as_json: Json = False) -> None:
    """Say what this installation has and lacks."""
    from ui.doctor import examine, show

    checks = examine()
    if as_json:
        print(json.dumps(checks, indent=2))
    else:
        show(checks)
    raise typer.Exit(0 if checks["ok"] else 4)
