"""The model file: safetensors with the configuration and a model card inside."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from engines.network import LandmarkNet, NetworkConfig
from engines.skeleton import Skeleton
from engines.student import StudentConfig, StudentNet
from engines.weightfile import Contents, FileKind, check_weights, filled, skeleton_of

FORMAT = "kptrack-1"
_FILE = FileKind(FORMAT, "a kptrack model")
DRAWING, STUDENT = "drawing", "student"  # kinds of network
WEIGHTS = Path(__file__).parent / "weights"
FINDER = "finder.safetensors"  # lies among them, but finds no landmarks: see engines.finder
DECODER = "decoder.safetensors"  # ends the names of files that redraw pictures: see engines.decoder


@dataclass(frozen=True)
class Model:
    """Weights with all that is needed to run them, and where they come from.

    ``crop_scale``: side of the crop as a multiple of the landmark box's longer side. ``card``: data,
    recipe, numbers and licence, plain JSON values. ``digest``: sha256 of the file, or "" unsaved.
    """

    skeleton: Skeleton
    config: NetworkConfig | StudentConfig
    crop_scale: float
    weights: dict[str, Tensor]
    card: dict[str, object]
    name: str = "model"
    digest: str = ""

    def network(self) -> LandmarkNet | StudentNet:
        """A fresh network in evaluation mode, float32, with these weights."""
        return filled(_network(self.skeleton, self.config), self.weights)

    def save(self, path: Path) -> None:
        """Write the file, floating weights as fp16; it appears whole or not at all."""
        described = {
            "skeleton": self.skeleton.name,
            "joints": list(self.skeleton.joints),
            "network": asdict(self.config),
            "crop_scale": self.crop_scale,
            "card": self.card,
        }
        if isinstance(self.config, StudentConfig):
            described["kind"] = STUDENT
        _FILE.save(path, self.weights, described)


def _network(skeleton: Skeleton, config: NetworkConfig | StudentConfig) -> LandmarkNet | StudentNet:
    if isinstance(config, StudentConfig):
        return StudentNet(skeleton, config)
    return LandmarkNet(skeleton, config)


def shipped_models() -> dict[str, Path]:
    """Name → file of the landmark models that come with kptrack."""
    found = sorted(WEIGHTS.glob("*.safetensors"))
    return {path.stem: path for path in found if not path.name.endswith((FINDER, DECODER))}


def load_model(source: str | Path) -> Model:
    """Model of a shipped model's name or of a file.

    Raises ``ValueError`` with one line (what, where, what to do) when there is no such model or
    file, when the file is damaged or of another program, and when its weights do not fit.
    """
    path = shipped_models().get(str(source)) or Path(source)
    if not path.is_file():
        names = ", ".join(shipped_models()) or "none"
        raise ValueError(f"no model {str(source)!r}: give a file or a shipped model (shipped: {names})")
    return _FILE.load(path, _assemble)


def _assemble(file: Contents) -> Model:
    """Model from a file's contents; raises when the skeleton is another or a weight does not fit."""
    described = file.described
    skeleton = skeleton_of(described)
    # A file that does not say holds a network that draws.
    kind = described.get("kind", DRAWING)
    if kind not in (DRAWING, STUDENT):
        raise ValueError(f"its network is a {kind!r}, not {DRAWING} or {STUDENT}")
    config = (StudentConfig if kind == STUDENT else NetworkConfig)(**described["network"])
    check_weights(lambda: _network(skeleton, config), file.weights)
    crop_scale = float(described["crop_scale"])
    return Model(skeleton, config, crop_scale, file.weights, described["card"], file.name, file.digest)
