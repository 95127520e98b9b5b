"""Ψ: landmarks and an appearance become a picture. The net, its file, and how it runs.

KeypointGAN, supplement figure 8. It teaches Φ in training and draws pictures again in ``tracker.redraw``; a
tracker has no use for it, so it has a file of its own beside that of its landmark model.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engines.eager import choose_device, fold_batch_norm
from engines.model import DECODER, Model, shipped_models
from engines.network import Encoder, NetworkConfig, as_input, conv_block, move, upsample
from engines.render import normalise, render
from engines.skeleton import Skeleton
from engines.weightfile import Contents, FileKind, check_weights, filled, skeleton_of

FORMAT = "kptrack-decoder-1"
_FILE = FileKind(FORMAT, "a decoder")


class Decoder(nn.Module):
    """Ψ: skeleton image ``(B, L, S, S)`` and appearance ``(B, 3, S, S)`` → image ``(B, 3, S, S)``.

    Two encoders that share nothing, their codes concatenated (skeleton first), no skips: what is
    drawn must pass through the skeleton image. Linear output.
    """

    def __init__(self, width: int, layers: int = 1) -> None:
        super().__init__()
        self.skeleton = Encoder(layers, 8 * width, width)
        self.appearance = Encoder(3, 8 * width, width)
        channels = [16 * width, 8 * width, 4 * width, 2 * width]
        self.levels = nn.ModuleList(
            nn.Sequential(conv_block(inputs, outputs, 3), conv_block(outputs, outputs, 3))
            for inputs, outputs in pairwise(channels)
        )
        self.output = nn.Sequential(conv_block(2 * width, width, 3), nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, skeleton_image: Tensor, appearance: Tensor) -> Tensor:
        """See the class."""
        image = torch.cat([self.skeleton(skeleton_image)[-1], self.appearance(appearance)[-1]], 1)
        for level in self.levels:
            image = upsample(level(image))
        return self.output(image)


@dataclass(frozen=True)
class DecoderModel:
    """Weights of Ψ with all that is needed to run them, and where they come from.

    ``config``, ``crop_scale`` and ``digest`` as in ``engines.model.Model``. ``partner``: name of the
    landmark model that was trained with it; ``partner_weights``: that one's ``fingerprint``.
    """

    skeleton: Skeleton
    config: NetworkConfig
    crop_scale: float
    weights: dict[str, Tensor]
    card: dict[str, object]
    partner: str
    partner_weights: str
    name: str = "decoder"
    digest: str = ""

    def belongs_to(self, model: Model) -> bool:
        """Whether it was trained together with this landmark model."""
        return self.partner_weights == fingerprint(model)

    def network(self) -> Decoder:
        """A fresh network in evaluation mode, float32, with these weights."""
        return filled(_network(self.skeleton, self.config), self.weights)

    def save(self, path: Path) -> None:
        """Write the file, floating weights as fp16; it appears whole or not at all."""
        described = {
            "skeleton": self.skeleton.name,
            "joints": list(self.skeleton.joints),
            "network": asdict(self.config),
            "crop_scale": self.crop_scale,
            "model": {"name": self.partner, "weights": self.partner_weights},
            "card": self.card,
        }
        _FILE.save(path, self.weights, described)


def _network(skeleton: Skeleton, config: NetworkConfig) -> Decoder:
    return Decoder(config.width, len(skeleton.layers))


def fingerprint(model: Model) -> str:
    """What tells a model's Φ and η from any other's, whatever is written on its card: 64 hex digits."""
    digest = hashlib.sha256()
    for key, value in sorted(model.weights.items()):
        # Scores are fitted after training, and may be again.
        if not key.endswith("calibration"):
            half = value.half() if value.is_floating_point() else value
            digest.update(key.encode() + half.contiguous().numpy().tobytes())
    return digest.hexdigest()


def decoder_beside(model: str | Path) -> Path:
    """File of the decoder of a shipped model's name or of a model file.

    For ``NAME.safetensors`` that is ``NAME.decoder.safetensors`` in the same folder, or
    ``decoder.safetensors`` as a training run writes it. Raises ``ValueError`` where there is none.
    """
    path = shipped_models().get(str(model)) or Path(model)
    named = path.with_name(f"{path.stem}.{DECODER}")
    for file in (named, path.with_name(DECODER)):
        if file.is_file():
            return file
    raise ValueError(
        f"model {path.stem} has no decoder, which redraws pictures: neither {named.name} nor {DECODER} lies "
        "beside it; a training run writes one, or give another with --decoder"
    )


def load_decoder(path: Path) -> DecoderModel:
    """The decoder of a file.

    Raises ``ValueError`` with one line when there is none, when the file is damaged or of another
    kind, and when its weights do not fit.
    """
    if not path.is_file():
        raise ValueError(f"no decoder {path.name}: a training run writes one beside its model")
    return _FILE.load(path, _assemble)


def _assemble(file: Contents) -> DecoderModel:
    """Decoder from a file's contents; raises when the skeleton is another or a weight does not fit."""
    described = file.described
    skeleton, config = skeleton_of(described), NetworkConfig(**described["network"])
    check_weights(lambda: _network(skeleton, config), file.weights)
    partner = described["model"]
    return DecoderModel(
        skeleton,
        config,
        float(described["crop_scale"]),
        file.weights,
        described["card"],
        str(partner["name"]),
        str(partner["weights"]),
        file.name,
        file.digest,
    )


class Painter:
    """Ψ∘β ready to run. NumPy in, NumPy out; not for two threads at once."""

    def __init__(self, model: DecoderModel, device: str = "auto") -> None:
        """Load the weights on ``auto``, ``cpu`` or ``cuda:N``; raises as ``engines.open_engine`` does."""
        self.skeleton, self.input_size = model.skeleton, model.config.input_size
        self.crop_scale = model.crop_scale
        self._device = choose_device(device)
        self._edges = torch.tensor(self.skeleton.layers, device=self._device)
        self._network = model.network()
        fold_batch_norm(self._network)
        move(self._network, self._device)

    def __call__(self, points: np.ndarray, appearance: np.ndarray) -> np.ndarray:
        """Pictures ``(N, S, S, 3)`` float32, 0 to 255 and not rounded.

        ``points`` ``(N, K, 2)`` in crop pixels, ``appearance`` ``(N, S, S, 3)`` uint8 RGB, S is the
        ``input_size``.
        """
        with torch.inference_mode():
            xy = torch.from_numpy(np.require(points, np.float32, ["C", "W"])).to(self._device)
            seen = torch.from_numpy(np.require(appearance, requirements=["C", "W"])).to(self._device)
            drawn = render(normalise(xy, self.input_size), self._edges, self.input_size)
            redrawn = self._network(drawn, as_input(seen))
            return np.asarray(((redrawn.clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).cpu().numpy())
