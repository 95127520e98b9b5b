"""The image pool of adversarial training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class ImagePool:
    """Earlier fakes, so that D does not forget them: half of what goes in comes out as an older one."""

    def __init__(self, capacity: int, shape: tuple[int, int, int], device: torch.device) -> None:
        self._images = torch.zeros(capacity, *shape, device=device)
        self._filled = 0

    def swap(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """``images`` ``(B, L, S, S)``, some of them exchanged for stored ones."""
        images = images.clone()
        for index in range(len(images)):
            if self._filled < len(self._images):
                self._images[self._filled] = images[index]
                self._filled += 1
            elif torch.rand((), generator=generator) < 0.5:
                slot = torch.randint(len(self._images), (), generator=generator)
                stored = self._images[slot].clone()
                self._images[slot] = images[index]
                images[index] = stored
        return images

    def state_dict(self) -> dict[str, Any]:
        """The stored images."""
        return {"images": self._images, "filled": self._filled}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse."""
        self._images.copy_(state["images"])
        self._filled = state["filled"]
