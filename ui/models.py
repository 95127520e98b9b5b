"""``kptrack models``: what a model file says about itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engines.decoder import load_decoder
from engines.model import DECODER, load_model, shipped_models
from ui.failures import usage


def describe(name: str, file: Path) -> dict[str, Any]:
    """``{"name", "file", "skeleton", "joints", "input_size", "digest", "card"}``. Raises ``UsageError``.

    Of a landmark model, or of the decoder that redraws with one.
    """
    with usage():
        model = load_decoder(file) if file.name.endswith(DECODER) else load_model(file)
    return {
        "name": name,
        "file": str(file),
        "skeleton": model.skeleton.name,
        "joints": len(model.skeleton.joints),
        "input_size": model.config.input_size,
        "digest": model.digest,
        "card": model.card,
    }


def list_models(as_json: bool) -> None:
    """Print the shipped models, one a line."""
    found = [describe(name, file) for name, file in shipped_models().items()]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for each in found:
        print(
            f"{each['name']}  {each['skeleton']}, {each['joints']} joints, {each['input_size']} px, "
            f"sha256 {each['digest'][:12]}"
        )


def show_model(model: str, as_json: bool) -> None:
    """Print one model with its card."""
    file = shipped_models().get(model, Path(model))
    found = describe(file.stem, file)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    card = found.pop("card")
    _print_table(found, "")
    print()
    _print_table(card, "")


def _print_table(table: dict[str, Any], indent: str) -> None:
    for key, value in table.items():
        if isinstance(value, dict):
            print(f"{indent}{key}:")
            _print_table(value, indent + "    ")
        else:
            print(f"{indent}{key}: {value}")
