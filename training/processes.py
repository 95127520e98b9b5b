"""Several processes that train one model: what they tell each other, and what one does for all.

Each holds the whole state. A share of every batch is its own, the gradients are the mean over all of them,
and what is drawn at random is drawn for all of them: so their states stay equal, and any one can be saved.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from engines.eager import choose_device
from engines.engine import MissingCapability

# The first may keep the others waiting for long, framing every picture. None waits for the dead: torchrun
# ends them all.
_PATIENCE = timedelta(days=1)


class _Sliced(Protocol):
    def __getitem__(self, part: slice, /) -> Self: ...


T = TypeVar("T", bound=_Sliced)


class ToldElsewhere(Exception):
    """Another process has failed and says why; this one has only to end. ``kind`` is of the other's error."""

    def __init__(self, kind: type[Exception]) -> None:
        super().__init__(f"{kind.__name__} in another process")
        self.kind = kind


class Processes:
    """One process alone: all is its own, and there is nobody to wait for.

    All but ``share`` is to be called by all processes in the same order.
    """

    rank, count = 0, 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def share(self, everything: T) -> T:
        """What is this process's of a batch, or of anything else along its first axis."""
        return everything

    def whole(self, share: Tensor) -> Tensor:
        """The shares of all, in the order that ``share`` took them from."""
        return share

    def mean(self, value: Tensor) -> Tensor:
        """The mean of all processes' values; no gradient passes."""
        return value

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over all processes: one exchange for all of them."""

    def anywhere(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        return flag

    def everywhere_same(self, number: int) -> bool:
        """Whether all processes have the same number."""
        return True

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """What fails in one process within it ends all of them, there with its error, and here in silence.

        Nothing is to be exchanged within. Raises ``ToldElsewhere`` where another has failed.
        """
        yield


ALONE = Processes()


class Joined(Processes):
    """One of several, in the process group that PyTorch has made."""

    def __init__(self) -> None:
        self.rank, self.count = dist.get_rank(), dist.get_world_size()

    def share(self, everything: T) -> T:
        """See ``Processes``."""
        return everything[self.rank :: self.count]

    def whole(self, share: Tensor) -> Tensor:
        """See ``Processes``."""
        shares = [torch.empty_like(share, memory_format=torch.contiguous_format) for _ in range(self.count)]
        dist.all_gather(shares, share.contiguous())
        return torch.stack(shares, 1).flatten(0, 1)

    def mean(self, value: Tensor) -> Tensor:
        """See ``Processes``."""
        total = value.detach().clone()
        dist.all_reduce(total)
        return total / self.count

    def average(self, tensors: Iterable[Tensor]) -> None:
        """See ``Processes``."""
        tensors = list(tensors)
        means = self.mean(torch.cat([each.reshape(-1) for each in tensors]))
        for each, mean in zip(tensors, means.split([each.numel() for each in tensors]), strict=True):
            each.copy_(mean.view_as(each))

    def anywhere(self, flag: bool) -> bool:
        """See ``Processes``."""
        # In the processor's memory, also beside a GPU: asked at every step, and nobody waits for the GPU.
        raised = torch.tensor([flag], dtype=torch.uint8)
        dist.all_reduce(raised, dist.ReduceOp.MAX)
        return bool(raised)

    def everywhere_same(self, number: int) -> bool:
        """See ``Processes``."""
        ends = torch.tensor([number, -number])
        dist.all_reduce(ends, dist.ReduceOp.MAX)
        return int(ends.sum()) == 0

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """See ``Processes``."""
        failed: Exception | None = None
        try:
            yield
        except (ValueError, OSError, RuntimeError) as error:
            failed = error
        if not self.anywhere(failed is not None):
            return
        kinds: list[type[Exception] | None] = [None] * self.count
        dist.all_gather_object(kinds, failed and type(failed))
        speaker, kind = next((rank, kind) for rank, kind in enumerate(kinds) if kind)
        if failed and speaker == self.rank:
            raise failed
        raise ToldElsewhere(kind) from failed


@contextmanager
def open_processes(device: str) -> Iterator[tuple[Processes, torch.device]]:
    """This process among those that torchrun has started, if it has, and the device for it to run on.

    ``device`` as ``choose_device`` takes it; with ``auto`` and ``cuda`` each process of a machine has a GPU
    of its own. Raises ``ValueError`` or ``MissingCapability`` for a device that there is not.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE, choose_device(device)
        return
    if not dist.is_available():
        raise MissingCapability("this PyTorch lacks torch.distributed: train in one process", "distributed")
    if device.startswith("cuda:") and int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1:
        raise ValueError(f"device {device} is one for several processes: auto gives each its own")
    on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    chosen = choose_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if on_gpu else device)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield Joined(), chosen
    finally:
        dist.destroy_process_group()
