"""``kptrack models``."""

from __future__ import annotations

import typer

from ui.commands.options import Json, ModelArgument

app = typer.Typer(help="List or show models.", no_args_is_help=True)


@app.command("list")
def models_list(as_json: Json = False) -> None:
    """List the models that come with kptrack."""
    from ui.models import list_models

    list_models(as_json)


@app.command("info")
def models_info(
    model: ModelArgument = "face",
    as_json: Json = False,
) -> None:
    """Show one model with its card."""
    from ui.models import show_model

    show_model(model, as_json)
