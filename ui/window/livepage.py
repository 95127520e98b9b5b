"""The Live tab: source, picture, side panel and figures around one live session."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PyQt6.QtCore import QEvent, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent
from PyQt6.QtWidgets import QAbstractButton, QComboBox, QHBoxLayout, QStackedWidget, QVBoxLayout

from engines import MissingCapability, load_model
from tracker import Overlay
from tracker.live import EngineStatus, LiveSession, LiveStatus
from ui.failures import UsageError
from ui.live import LiveOptions, engine_of, open_session
from ui.window.banner import Action, Banner
from ui.window.bridge import Bridge
from ui.window.buildbar import BuildBar
from ui.window.controls import LEAST_SCALE, MOST_SCALE, Controls
from ui.window.drops import DropTarget
from ui.window.news import News
from ui.window.options import live_options
from ui.window.saving import Saver
from ui.window.settings import Settings
from ui.window.strip import Strip
from ui.window.toolbar import LiveBar
from ui.window.view import Canvas
from ui.window.welcome import Welcome

# One press of + or -.
_ZOOM = 1.25
# The source gives nothing more by itself.
_OVER = ("ended", "failed")


class LivePage(DropTarget):
    """Shows a source with its landmarks as the settings say; ``edited`` has those that a person changed."""

    edited = pyqtSignal(Settings)
    model_wanted = pyqtSignal()  # a model is to be chosen

    def __init__(self, settings: Settings, options: LiveOptions, banner: Banner) -> None:
        """``options`` are what the settings do not know: precision, device, what to record from the start."""
        super().__init__()
        self._settings, self._options, self._banner = settings, options, banner
        self._source = ""
        self._is_camera = False  # the source
        self._state = ""  # of the session, as it was seen last
        self._filled = False
        self._refused = False  # the model that is chosen, so that it does not run
        self._followed = settings.tracking  # by the session
        self._to_record = options.record, options.data  # as soon as the first session runs
        self._news = News(banner, lambda: self._retry(), self.model_wanted.emit)
        self.bar = LiveBar(settings.runtime)
        self.build = BuildBar()
        self.canvas = Canvas(lambda shown: self.bridge.mark_shown(shown))
        self.bridge = Bridge(self.canvas.show_picture)
        self.bridge.status_changed.connect(self._show_status)
        self.bridge.finished.connect(lambda status: self._news.tell_recording(status.recording))
        self._saver = Saver(self.bridge, banner, self._news)
        self.welcome = Welcome()
        self._stack = QStackedWidget()
        self._stack.addWidget(self.welcome)
        self._stack.addWidget(self.canvas)
        self.controls = Controls(settings)
        self.strip = Strip()
        self._lay_out()
        self._connect()
        self.bar.show_running(False, picture=False)
        self.apply(settings)

    def _lay_out(self) -> None:
        middle = QHBoxLayout()
        middle.setSpacing(0)
        middle.addWidget(self._stack, 1)
        middle.addWidget(self.controls)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.bar)
        column.addWidget(self.build)
        column.addLayout(middle, 1)
        column.addWidget(self.strip)

    def _connect(self) -> None:
        bar = self.bar
        for action in bar.keys:
            self.addAction(action)
        bar.source.chosen.connect(self._choose)
        bar.badge.chosen.connect(lambda name: self._edit(runtime=name))
        bar.start.triggered.connect(self.toggle)
        bar.record.triggered.connect(self._record)
        bar.snapshot.triggered.connect(lambda: self._saver.snapshot(self._settings, self._overlay()))
        bar.mirror.triggered.connect(lambda on: self._edit(mirror=on))
        bar.panels.triggered.connect(lambda on: self._edit(panel=on))
        bar.overlay.triggered.connect(lambda: self.canvas.set_overlay(self._overlay()))
        bar.larger.triggered.connect(lambda: self._zoom(_ZOOM))
        bar.smaller.triggered.connect(lambda: self._zoom(1 / _ZOOM))
        bar.open.triggered.connect(bar.source.ask_file)
        bar.overlay.setChecked(True)
        self.welcome.use_camera.connect(lambda: self.open(self._camera()))
        self.welcome.open_video.connect(bar.source.ask_file)
        self.welcome.open_recent.connect(self.open)
        self.controls.edited.connect(self._take)
        self.build.cancelled.connect(self._cancel_build)

    # What a person does.

    def take(self, names: list[str]) -> None:
        """Show what was dropped; the first of several."""
        self.open(names[0])

    def open(self, source: str) -> None:
        """Show a source: a camera's index or name, a file, an address."""
        self._set_source(source)
        self._take(self._settings.opened(source))
        session = self.bridge.session
        if session is None:
            self.start()
        else:
            self._news.expect_source()
            session.switch_source(source, self._settings.camera_request)

    def start(self) -> None:
        """Start the source that is chosen."""
        if not self._source:
            self._set_source(self._camera())
        try:
            session = open_session(self._source, self._live_options())
        except UsageError as error:
            self._refuse(error)
            return
        self._refused, self._followed = False, self._settings.tracking
        self._state = ""
        self._news.reset()
        self._stack.setCurrentWidget(self.canvas)
        self.canvas.setFocus()
        self.canvas.set_notice("Connecting …")
        self.strip.clear()
        self.bar.show_running(True, picture=False)
        self.bridge.begin(session)

    def stop(self) -> None:
        """Stop; the last picture stays."""
        self.bridge.end()
        self._refused = False
        self.canvas.set_notice("")
        self.bar.show_running(False, picture=False)
        self.bar.show_recording(False)
        self.strip.rest()
        self._show_engine(None)

    def use_model(self, model: str) -> None:
        """Run another model, or once more one that was refused."""
        self._take(replace(self._settings, model=model), again=True)

    def toggle(self) -> None:
        """Start, stop, or play again what is over."""
        session = self.bridge.session
        if self._state in _OVER and session is not None:
            self._retry()
        elif self.bridge.active:
            self.stop()
        else:
            self.start()

    def _choose(self, source: str) -> None:
        """A choice in the list: cameras begin when they are started, the rest at once."""
        if not self.bridge.active and source.isdecimal():
            self._set_source(source)
            self._take(self._settings.opened(source))
        else:
            self.open(source)

    def _set_source(self, source: str) -> None:
        self._source = source
        self._is_camera = "://" not in source and not Path(source).exists()  # by its index or its name
        self.bar.source.set_source(source)

    def _camera(self) -> str:
        """The camera used last, if it is there, or the first."""
        there = [str(camera.index) for camera in self.bar.source.cameras]
        return self._settings.camera if self._settings.camera in there or not there else there[0]

    def _record(self, on: bool) -> None:
        if on:
            self._saver.record(self._settings, self._overlay())
        else:
            self._saver.stop()

    def _zoom(self, factor: float) -> None:
        scale = min(MOST_SCALE, max(LEAST_SCALE, self._settings.overlay.scale * factor))
        self._edit(overlay=replace(self._settings.overlay, scale=round(scale, 2)))

    # Settings: one value, one way to change it.

    def _edit(self, **changes: object) -> None:
        self._take(replace(self._settings, **changes))  # type: ignore[arg-type]

    def _take(self, settings: Settings, again: bool = False) -> None:
        self.apply(settings, again)
        self.edited.emit(self._settings)

    def apply(self, settings: Settings, again: bool = False) -> None:
        """Follow these settings, the session that runs included; a detector that it refuses is put back.

        A model that was refused is tried again with another detector, or if ``again`` says so.
        """
        settings = self._follow(settings)
        before, self._settings = self._settings, settings
        self.controls.show_settings(settings)
        self._show_panels()
        self.bar.panels.setChecked(settings.panel)
        self.bar.mirror.setChecked(settings.mirror)
        self.bar.badge.set_runtime(settings.runtime)
        self.welcome.set_recent(settings.recent)
        self.canvas.set_overlay(self._overlay())
        session = self.bridge.session
        changed = (settings.model, settings.runtime) != (before.model, before.runtime)
        again = self._refused and (changed or again or settings.tracking.detector != before.tracking.detector)
        if session is None:
            if self.bridge.active or again:
                self.start()
            return
        session.set_mirror(settings.mirror)
        if changed or again:
            self._swap(session)
        if self._is_camera and settings.camera_request != before.camera_request:
            session.switch_source(self._source, settings.camera_request)

    def _follow(self, settings: Settings) -> Settings:
        """Have the session track so; the settings, with the former detector where it refuses theirs."""
        session = self.bridge.session
        if session is None or settings.tracking == self._followed:
            return settings
        try:
            session.set_settings(settings.tracking)
        except (MissingCapability, ValueError) as error:
            self._banner.problem(str(error))
            tracking = replace(settings.tracking, detector=self._followed.detector)
            settings = replace(settings, tracking=tracking)
            session.set_settings(tracking)
        self._followed = settings.tracking
        return settings

    def _swap(self, session: LiveSession) -> None:
        try:
            session.swap_engine(*engine_of(self._live_options()))
            self._refused = False
        except UsageError as error:
            self._refuse(error)

    def _refuse(self, error: UsageError) -> None:
        """Say why the model does not run; another is asked for only where the fault is its own."""
        self._refused = True
        try:
            load_model(self._settings.model)
        except ValueError:
            self._banner.problem(str(error), Action("Choose a model…", self.model_wanted.emit))
        else:
            self._banner.problem(str(error))

    def _cancel_build(self) -> None:
        """Go on with the engine in use, also the next time."""
        if self.bridge.session is not None:
            self.bridge.session.cancel_build()
            self._settings = replace(self._settings, runtime="auto")  # which runs already
            self._take(self._settings)
            self._banner.note("The build was cancelled. The runtime is auto again.")
            self.bridge.report()

    def _live_options(self) -> LiveOptions:
        return live_options(self._settings, self._options, self._overlay())

    def _overlay(self) -> Overlay:
        """As the settings say; nothing while it is hidden."""
        drawing = self._settings.drawing
        return drawing if self.bar.overlay.isChecked() else replace(drawing, parts=())

    # What the session says.

    def _show_status(self, status: LiveStatus) -> None:
        if self._to_record != (None, None):
            asked, self._to_record = self._to_record, (None, None)
            self._saver.record_to(*asked, self._overlay())
            return
        self._state = status.state
        # A detector may have been chosen while a model was loading that it does not suit.
        self._refused |= isinstance(status.engine.error, ValueError)
        self.strip.show_status(status)
        self.controls.show_source(status.width, status.height, status.source_fps)
        self._show_engine(status.engine)
        self.bar.show_running(status.state not in _OVER, bool(status.captured))
        bare = status.state == "failed" and not status.captured
        self._stack.setCurrentWidget(self.welcome if bare else self.canvas)
        self.canvas.set_notice(self._news.tell(status))
        self.bar.show_recording(status.recording.active)
        if status.recording.active and status.state in _OVER:
            self._saver.stop()

    def _show_engine(self, engine: EngineStatus | None) -> None:
        self.bar.badge.show_engine(engine)
        self.build.show_engine(None if self._filled else engine, self._settings.runtime)

    def _retry(self) -> None:
        if self.bridge.session is not None:
            self._news.expect_source()
            self.bridge.session.reconnect()
            self.bridge.report()

    def fill(self, on: bool) -> None:
        """Show nothing but the picture, or all again."""
        self._filled = on
        self.bar.setVisible(not on)
        self._show_panels()
        self.bridge.report()

    def _show_panels(self) -> None:
        shown = self._settings.panel and not self._filled
        self.controls.setVisible(shown)
        self.strip.setVisible(shown)

    def event(self, event: QEvent | None) -> bool:
        """Space belongs to a button that has the focus; elsewhere it starts and stops."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and event.key() == Qt.Key.Key_Space
            and isinstance(self.focusWidget(), QAbstractButton | QComboBox)
        ):
            event.accept()
            return True
        return super().event(event)
