"""One batch size on a GPU as one upload, one launch, one download."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import numpy as np
import torch
from torch import Tensor

# cuDNN and TensorRT choose and load what they run in the first passes, which cannot be recorded.
_WARM_UP = 3


class Replay:
    """A program recorded as a CUDA graph, with its buffers. A ``buckets.Pass``.

    ``program`` maps crops ``(B, S, S, 3)`` uint8 on the GPU to packed rows ``(B, 3K + 1)`` float32.
    It always reads and writes the same memory, which the graph needs, and the copies to and from
    it go through pinned memory, which the GPU reads by itself.
    """

    # One at a time in a process: a recording begins with a wait for the whole GPU, which breaks any other.
    _recording = Lock()

    def __init__(
        self,
        program: Callable[[Tensor], Tensor],
        shape: tuple[int, int, int, int],
        device: torch.device,
        stream: torch.cuda.Stream,
        capturable: bool = True,
    ) -> None:
        """``shape`` of the crops; a program that is not ``capturable`` is launched step by step."""
        self._program, self._device, self._stream = program, device, stream
        self._host_crops = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        self._host_view = self._host_crops.numpy()
        self._graph: torch.cuda.CUDAGraph | None = None
        with torch.inference_mode(), torch.cuda.device(device), torch.cuda.stream(stream):
            self._crops = torch.zeros(shape, dtype=torch.uint8, device=device)
            for _ in range(_WARM_UP):
                self._rows = program(self._crops)
            stream.synchronize()
            self._host_rows = torch.empty(self._rows.shape, dtype=self._rows.dtype, pin_memory=True)
            if capturable:
                self._graph = torch.cuda.CUDAGraph()
                # By thread: the window and other engines may use the GPU at the same moment.
                mode = "thread_local"
                with self._recording, torch.cuda.graph(self._graph, stream=stream, capture_error_mode=mode):
                    self._rows = program(self._crops)

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        """See ``Pass``. What the buffers hold beyond the given crops is of an earlier call."""
        count = len(crops)
        self._host_view[:count] = crops
        with torch.inference_mode(), torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            self._crops[:count].copy_(self._host_crops[:count], non_blocking=True)
            if self._graph is None:
                self._rows = self._program(self._crops)
            else:
                self._graph.replay()
            self._host_rows[:count].copy_(self._rows[:count], non_blocking=True)
        self._stream.synchronize()
        return self._host_rows[:count].numpy()
