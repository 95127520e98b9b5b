"""The model file: safetensors with the configuration and a model card inside."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from engines.network import LandmarkNet, NetworkConfig
from engines.skeleton import SKELETONS, Skeleton
from engines.student import StudentConfig, StudentNet

FORMAT = "kptrack-1"
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
        network = _network(self.skeleton, self.config)
        network.load_state_dict({key: value.float() for key, value in self.weights.items()}, strict=True)
        return network.eval()

    def save(self, path: Path) -> None:
        """Write the file, floating weights as fp16; it appears whole or not at all."""
        tensors = {
            key: (value.half() if value.is_floating_point() else value).contiguous()
            for key, value in self.weights.items()
        }
        described = {
            "skeleton": self.skeleton.name,
            "joints": list(self.skeleton.joints),
            "network": asdict(self.config),
            "crop_scale": self.crop_scale,
            "card": self.card,
        }
        if isinstance(self.config, StudentConfig):
            described["kind"] = STUDENT
        part = path.with_name(path.name + ".part")
        save_file(tensors, part, metadata={"format": FORMAT, "kptrack": json.dumps(described)})
        part.replace(path)


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
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path.name} is not a readable safetensors file ({error}): fetch it again"
        ) from error
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{path.name} is not a kptrack model (format {metadata.get('format')!r}, not {FORMAT!r})"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        return _assemble(json.loads(metadata["kptrack"]), weights, path.stem, digest)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{path.name} does not fit this version of kptrack ({reason}): export it again"
        ) from error


def _assemble(described: dict, weights: dict[str, Tensor], name: str, digest: str) -> Model:  # type: ignore[type-arg]
    """Model from a file's content; raises when the skeleton is another or a weight does not fit."""
    skeleton = SKELETONS.get(described["skeleton"])
    if skeleton is None:
        raise ValueError(f"skeleton {described['skeleton']!r} is not one of {', '.join(SKELETONS)}")
    if list(skeleton.joints) != described["joints"]:
        raise ValueError(f"its joints are not those of skeleton {skeleton.name}")
    # A file that does not say holds a network that draws.
    kind = described.get("kind", DRAWING)
    if kind not in (DRAWING, STUDENT):
        raise ValueError(f"its network is a {kind!r}, not {DRAWING} or {STUDENT}")
    config = (StudentConfig if kind == STUDENT else NetworkConfig)(**described["network"])
    with torch.device("meta"):
        wanted = {key: value.shape for key, value in _network(skeleton, config).state_dict().items()}
    if wanted != {key: value.shape for key, value in weights.items()}:
        odd = sorted(
            key
            for key in wanted.keys() | weights.keys()
            if key not in wanted or key not in weights or wanted[key] != weights[key].shape
        )
        raise ValueError(f"{len(odd)} weights are missing, unknown or of another shape, {odd[0]} the first")
    return Model(skeleton, config, float(described["crop_scale"]), weights, described["card"], name, digest)
