"""How the window looks: colours for a light and a dark desktop, whichever the system has."""

from __future__ import annotations

from dataclasses import dataclass

from PyQt6.QtCore import QRectF, Qt
from PyQt6.QtGui import QColor, QPainter, QPalette
from PyQt6.QtWidgets import (
    QApplication,
    QProxyStyle,
    QStyle,
    QStyleOption,
    QStyleOptionComplex,
    QWidget,
)


@dataclass(frozen=True)
class Colours:
    """The colours of one theme, as ``#rrggbb``."""

    window: str
    raised: str  # buttons, bars
    base: str  # fields, tables
    line: str
    text: str
    dim: str
    faint: str  # what cannot be used now
    accent: str
    on_accent: str
    note: str  # backgrounds of the banner
    problem: str


LIGHT = Colours(
    window="#f3f4f6",
    raised="#ffffff",
    base="#ffffff",
    line="#d3d8de",
    text="#1a1f26",
    dim="#596270",
    faint="#a4acb6",
    accent="#0a7a70",
    on_accent="#ffffff",
    note="#d9efec",
    problem="#fbe3df",
)
DARK = Colours(
    window="#1c1f24",
    raised="#2a2e35",
    base="#15171b",
    line="#3a4049",
    text="#e7eaee",
    dim="#9ca5b1",
    faint="#636c78",
    accent="#40cfc0",
    on_accent="#06231f",
    note="#17403c",
    problem="#54251f",
)
# The canvas is dark in both: pictures look best on it, and so does the overlay.
CANVAS = "#0f1114"
CANVAS_TEXT = "#e7eaee"
RECORD = "#e5484d"

_SHEET = """
QToolTip {{ color: {text}; background: {raised}; border: 1px solid {line}; padding: 3px; }}
QTabWidget::pane {{ border: 0; border-top: 1px solid {line}; }}
QComboBox {{ min-height: 20px; }}
QSpinBox {{ min-height: 22px; }}
QTabBar::tab {{ padding: 8px 18px; color: {dim}; border: 0; border-bottom: 2px solid transparent; }}
QTabBar::tab:selected {{ color: {text}; border-bottom-color: {accent}; }}
QTabBar::tab:hover {{ color: {text}; }}
QTabBar::tab:focus {{ color: {accent}; }}
QToolBar {{ spacing: 4px; padding: 8px 12px; border: 0; }}
QToolBar QToolButton {{ padding: 5px 9px; border: 1px solid transparent; border-radius: 5px; }}
QToolBar QToolButton:hover, QToolBar QToolButton:checked {{ background: {raised}; border-color: {line}; }}
QToolBar QToolButton:focus {{ border-color: {accent}; }}
QToolBar QToolButton:disabled {{ color: {faint}; }}
QToolBar QToolButton#badge {{
    padding: 4px 12px; color: {accent}; border: 1px solid {line}; border-radius: 13px; background: {raised};
}}
QToolBar QToolButton#badge:hover, QToolBar QToolButton#badge:focus {{ border-color: {accent}; }}
QToolButton#badge::menu-indicator {{ image: none; width: 0; }}
QPushButton {{
    padding: 5px 14px; border: 1px solid {line}; border-radius: 5px; background: {raised};
}}
QPushButton:hover, QPushButton:focus {{ border-color: {accent}; }}
QPushButton:pressed {{ background: {line}; }}
QPushButton:disabled {{ color: {faint}; background: {window}; }}
QPushButton::menu-indicator {{ subcontrol-position: right center; right: 10px; }}
QPushButton[primary="true"] {{ color: {on_accent}; background: {accent}; border-color: {accent}; }}
QPushButton[primary="true"]:hover, QPushButton[primary="true"]:focus {{ border-color: {text}; }}
QPushButton[primary="true"]:disabled {{ color: {faint}; background: {window}; border-color: {line}; }}
QFrame#banner {{ border: 0; border-bottom: 1px solid {line}; }}
QFrame#banner[problem="false"] {{ background: {note}; }}
QFrame#banner[problem="true"] {{ background: {problem}; }}
QProgressBar {{ border: 0; border-radius: 2px; background: {line}; }}
QProgressBar::chunk {{ background: {accent}; width: 8px; }}
QFrame#build {{ border: 0; border-top: 1px solid {line}; }}
QFrame#strip {{ border: 0; border-top: 1px solid {line}; }}
QScrollArea#panel {{ border: 0; border-left: 1px solid {line}; }}
QLabel[dim="true"] {{ color: {dim}; }}
QLabel[heading="true"] {{ font-weight: 600; }}
QHeaderView::section {{
    padding: 6px; border: 0; border-bottom: 1px solid {line}; color: {dim}; background: {window};
}}
QTableView::item {{ padding: 0 4px; }}
QTableView {{ border: 1px solid {line}; border-radius: 5px; gridline-color: transparent; }}
"""


class _Style(QProxyStyle):
    """Fusion with outlines that can be seen: in a dark theme its own are darker than what is around them."""

    def __init__(self) -> None:
        super().__init__("Fusion")

    def drawPrimitive(
        self,
        element: QStyle.PrimitiveElement,
        option: QStyleOption | None,
        painter: QPainter | None,
        widget: QWidget | None = None,
    ) -> None:
        """Check boxes."""
        super().drawPrimitive(element, option, painter, widget)
        if element == QStyle.PrimitiveElement.PE_IndicatorCheckBox:
            _outline(option, painter)

    def drawComplexControl(
        self,
        control: QStyle.ComplexControl,
        option: QStyleOptionComplex | None,
        painter: QPainter | None,
        widget: QWidget | None = None,
    ) -> None:
        """Fields to type in and to choose from."""
        super().drawComplexControl(control, option, painter, widget)
        if control in (QStyle.ComplexControl.CC_SpinBox, QStyle.ComplexControl.CC_ComboBox):
            _outline(option, painter)


def _outline(option: QStyleOption | None, painter: QPainter | None) -> None:
    if option is None or painter is None:
        return
    focused = option.state & QStyle.StateFlag.State_HasFocus
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QColor(current().accent if focused else current().faint))
    painter.drawRoundedRect(QRectF(option.rect).adjusted(0.5, 0.5, -0.5, -0.5), 2.5, 2.5)
    painter.restore()


def current() -> Colours:
    """The colours of the theme that the system has now."""
    hints = QApplication.styleHints()
    assert hints is not None
    return DARK if hints.colorScheme() == Qt.ColorScheme.Dark else LIGHT


def follow_system(app: QApplication) -> None:
    """Dress the application as the system is, and again whenever that changes."""
    app.setStyle(_Style())
    hints = app.styleHints()
    assert hints is not None
    hints.colorSchemeChanged.connect(lambda: _dress(app))
    _dress(app)


def _dress(app: QApplication) -> None:
    colours = current()
    app.setPalette(_palette(colours))
    app.setStyleSheet(_SHEET.format(**vars(colours)))


def _palette(colours: Colours) -> QPalette:
    role = QPalette.ColorRole
    palette = QPalette()
    for roles, colour in (
        ((role.Window,), colours.window),
        ((role.Button, role.Midlight, role.Light, role.ToolTipBase), colours.raised),
        ((role.Base,), colours.base),
        ((role.AlternateBase,), colours.window),
        ((role.Mid, role.Dark, role.Shadow), colours.line),
        ((role.WindowText, role.Text, role.ButtonText, role.BrightText, role.ToolTipText), colours.text),
        ((role.PlaceholderText,), colours.dim),
        ((role.Highlight, role.Accent, role.Link), colours.accent),
        ((role.HighlightedText,), colours.on_accent),
    ):
        for each in roles:
            palette.setColor(each, QColor(colour))
    for each in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, each, QColor(colours.faint))
    palette.setColor(QPalette.ColorGroup.Disabled, role.Highlight, QColor(colours.line))
    return palette
