"""Files of weights: safetensors with a description of the network, and where it comes from, inside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from engines.skeleton import SKELETONS, Skeleton

_T = TypeVar("_T")
_Network = TypeVar("_Network", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class Contents:
    """What such a file holds.

    ``described``: plain JSON values by name, the ``card`` among them; ``weights``: tensors by name; ``name``:
    the file's without its ending; ``digest``: its sha256.
    """

    described: dict[str, Any]
    weights: dict[str, Tensor]
    name: str
    digest: str


@dataclass(frozen=True)
class FileKind:
    """A kind of these files: ``format`` stands in them, ``called`` and ``remedy`` in what is said of one.

    ``half``: floating weights are written as fp16.
    """

    format: str
    called: str
    remedy: str = "export it again"
    half: bool = True

    def save(self, path: Path, weights: Mapping[str, Tensor], described: Mapping[str, object]) -> None:
        """Write the file; it appears whole or not at all. Raises ``OSError`` when the disk refuses.

        The same weights and description make the same bytes.
        """
        tensors = {
            key: (value.half() if self.half and value.is_floating_point() else value).contiguous()
            for key, value in weights.items()
        }
        written = save(tensors, metadata={"format": self.format, "kptrack": json.dumps(described)})
        part = path.with_name(path.name + ".part")
        try:
            part.write_bytes(_in_order(written))
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def recognises(self, path: Path) -> bool:
        """Whether there is such a file, as far as its first lines say."""
        try:
            with safe_open(path, framework="pt") as file:
                return (file.metadata() or {}).get("format") == self.format
        except (SafetensorError, OSError):
            return False

    def load(self, path: Path, assemble: Callable[[Contents], _T]) -> _T:
        """What ``assemble`` makes of the file's contents; it raises ``ValueError`` where they do not fit.

        Raises ``ValueError`` with one line when the file is damaged, of another kind, or does not fit.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"{path.name} is not a readable safetensors file ({error}): fetch it again"
            ) from error
        if metadata.get("format") != self.format:
            raise ValueError(
                f"{path.name} is not {self.called} (format {metadata.get('format')!r}, not {self.format!r})"
            )
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        try:
            described = json.loads(metadata["kptrack"])
            if not isinstance(described["card"], dict):
                raise ValueError(f"its card is {described['card']!r}, not a table")
            return assemble(Contents(described, weights, path.stem, digest))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ValueError(
                f"{path.name} does not fit this version of kptrack ({reason}): {self.remedy}"
            ) from error


def _in_order(written: bytes) -> bytes:
    """A safetensors file with its header sorted: the library writes the metadata in any order."""
    begin = 8 + int.from_bytes(written[:8], "little")
    header = json.dumps(json.loads(written[8:begin]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # so that tensors lie at multiples of 8
    return len(header).to_bytes(8, "little") + header + written[begin:]


def skeleton_of(described: Mapping[str, Any]) -> Skeleton:
    """The skeleton that a description names, with its joints. Raises ``ValueError``, ``KeyError``."""
    skeleton = SKELETONS.get(described["skeleton"])
    if skeleton is None:
        raise ValueError(f"skeleton {described['skeleton']!r} is not one of {', '.join(SKELETONS)}")
    if list(skeleton.joints) != described["joints"]:
        raise ValueError(f"its joints are not those of skeleton {skeleton.name}")
    return skeleton


def check_weights(make: Callable[[], nn.Module], weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not, name by name and shape by shape, those of the network that is made."""
    with torch.device("meta"):
        wanted = {key: value.shape for key, value in make().state_dict().items()}
    found = {key: value.shape for key, value in weights.items()}
    odd = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
    if odd:
        raise ValueError(f"{len(odd)} weights are missing, unknown or of another shape, {odd[0]} the first")


def filled(network: _Network, weights: Mapping[str, Tensor]) -> _Network:
    """The network in evaluation mode with these weights, as float32."""
    network.load_state_dict({key: value.float() for key, value in weights.items()}, strict=True)
    return network.eval()
