"""What a landmark model is and how it runs.

>>> from engines import open_engine
>>> engine = open_engine("face")
>>> points = engine(crops)  # crops (N, S, S, 3) uint8 RGB -> points.xy (N, K, 2) crop pixels
"""

from engines.engine import BuildCancelled, Engine, MissingCapability, Points, Report, open_engine
from engines.model import Model, load_model
from engines.skeleton import SKELETONS, Skeleton

__all__ = [
    "SKELETONS",
    "BuildCancelled",
    "Engine",
    "MissingCapability",
    "Model",
    "Points",
    "Report",
    "Skeleton",
    "load_model",
    "open_engine",
]
