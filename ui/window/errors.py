"""What nobody caught, in a slot or a thread, becomes a line in the window: it must not end the program."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from types import TracebackType

from PyQt6.QtCore import QObject, pyqtSignal

from ui.failures import explain


class ErrorHooks(QObject):
    """While installed, ``caught`` tells every exception that nobody handled, as one line.

    Without it PyQt aborts the process when a slot raises.
    """

    caught = pyqtSignal(str)

    def install(self) -> None:
        """Take the two hooks over."""
        self._before = sys.excepthook, threading.excepthook
        sys.excepthook = self._of_main
        threading.excepthook = self._of_thread

    def remove(self) -> None:
        """Give the two hooks back."""
        sys.excepthook, threading.excepthook = self._before

    def _of_main(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self._tell(error)

    def _of_thread(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            self._tell(args.exc_value)

    def _tell(self, error: BaseException) -> None:
        if os.environ.get("KPTRACK_DEBUG"):
            traceback.print_exception(error)
        self.caught.emit(explain(error)[0])
