"""The published protocols: a data set as its owner downloaded it → the paper's table, and ours beside it.

    engine = open_engine("face", runtime="eager", precision="fp32")
    benchmark = PROTOCOLS["300w"](Path("300W"))
    measures = measure(engine, "face", benchmark)
    print(as_markdown(measures, benchmark.published))

One file a protocol; each says in its docstring which files it wants, how it scores, and what of the
protocol nobody could tell us and we therefore decided.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from training.benchmarks import cat_head, face300w, human36m, sets, simple_human36m
from training.benchmarks.protocol import Benchmark, as_markdown, measure

__all__ = ["PROTOCOLS", "as_markdown", "measure"]

# Each takes the folder of the data and raises ``ValueError`` when that holds something else, or half of it.
PROTOCOLS: dict[str, Callable[[Path], Benchmark]] = {
    "human36m": human36m.benchmark,
    "simple-human36m": simple_human36m.benchmark,
    "300w": face300w.benchmark,
    "cat-head": cat_head.benchmark,
    "sets": sets.benchmark,
}
