"""``kptrack engine``."""

from __future__ import annotations

from typing import Annotated

import typer

from ui.commands.options import Json, ModelArgument

app = typer.Typer(help="Build, list or remove TensorRT engines.", no_args_is_help=True)

EngineModel = Annotated[
    str, typer.Argument(metavar="MODEL", help="Name of a shipped model, a model file, or an engine's id.")
]


@app.command("build")
def engine_build(
    model: ModelArgument = "face",
    precision: Annotated[
        str, typer.Option(metavar="fp32|bf16|fp16", help="Number format of the network.")
    ] = "fp16",
    batch: Annotated[
        str, typer.Option(metavar="SMALLEST:OPTIMUM:LARGEST", help="Crops in one pass.")
    ] = "1:8:64",
    as_json: Json = False,
) -> None:
    """Build a TensorRT engine for this GPU, compare it with eager fp32, and keep it.

    Exit codes: 0 fine, 1 failed, 4 no GPU or no TensorRT, 5 its landmarks are not those of eager fp32.
    """
    from ui.engines import build_engine

    raise typer.Exit(build_engine(model, precision, batch, as_json))


@app.command("list")
def engine_list(as_json: Json = False) -> None:
    """List the engines that were built, and whether they run here."""
    from ui.engines import list_engines

    list_engines(as_json)


@app.command("info")
def engine_info(model: EngineModel = "face", as_json: Json = False) -> None:
    """Show a model's engines, and check that they are whole."""
    from ui.engines import show_engines

    raise typer.Exit(show_engines(model, as_json))


@app.command("remove")
def engine_remove(model: EngineModel, as_json: Json = False) -> None:
    """Remove a model's engines, or one."""
    from ui.engines import remove_engines

    remove_engines(model, as_json)


@app.command("clean")
def engine_clean(as_json: Json = False) -> None:
    """Remove engines that are damaged, or of other versions than those installed."""
    from ui.engines import clean_engines

    clean_engines(as_json)
