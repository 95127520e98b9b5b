"""Options that more than one command has."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[str, typer.Option(help="Name of a shipped model, or a model file.")]
Runtime = Annotated[
    str, typer.Option(metavar="auto|tensorrt|cudagraph|compile|eager", help="How the network runs.")
]
Precision = Annotated[str, typer.Option(metavar="auto|fp32|bf16|fp16", help="Number format of the network.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda:N", help="Where the network runs.")]
MinScore = Annotated[float, typer.Option(min=0, max=1, help="Subjects below it are not followed.")]
MaxSubjects = Annotated[int, typer.Option(min=1, max=64, help="At most so many subjects at once.")]
DetectEvery = Annotated[
    int, typer.Option(min=1, max=100_000, help="Frames between two searches for more subjects.")
]
Detector = Annotated[
    str, typer.Option(metavar="auto|learned|haar|hog|center", help="How subjects are found.")
]
Smooth = Annotated[str, typer.Option(metavar="one-euro|none", help="Smoothing over time.")]
Progress = Annotated[
    str, typer.Option(metavar="auto|rich|json|none", help="A bar on stderr, or JSON lines on stdout.")
]
ModelArgument = Annotated[str, typer.Argument(help="Name of a shipped model, or a model file.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON value on stdout.")]
