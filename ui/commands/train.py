"""``kptrack train`` and ``kptrack eval``: the same as ``python -m training``, which reads their options."""

from __future__ import annotations

import typer

# What is typed is not looked at here.
FORWARDED = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def train(ctx: typer.Context) -> None:
    """Train a model; --help shows how.

    The same as `python -m training train`.
    """
    _forward("train", ctx)


def evaluate(ctx: typer.Context) -> None:
    """Measure a model on labelled pictures; --help shows how.

    The same as `python -m training eval`.
    """
    _forward("eval", ctx)


def _forward(command: str, ctx: typer.Context) -> None:
    from training.__main__ import main as training_main

    raise typer.Exit(training_main([command, *ctx.args]))
