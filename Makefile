# Set-up, demonstration and tests. From a bare Debian with Python 3.11+ and make, type one of
#     make demo       install into .venv, then make and track two clips
#     make test       install into .venv, then run every test that is not slow
# PIP_ARGS reaches pip; README.md says what it is good for. Repeating a target installs nothing again.

PYTHON ?= python3
PIP_ARGS ?=
VENV := .venv

# What Qt and OpenCV load at run time and a bare Debian lacks.
LIBRARIES := libegl1 libgl1 libfontconfig1 libfreetype6 libglib2.0-0 libdbus-1-3 libxkbcommon0 libx11-6

# GStreamer's RTSP server, which plays a network camera to tests/test_rtsp.py.
CAMERA := python3-gi gir1.2-gst-rtsp-server-1.0

# $(call install,PACKAGES): with apt-get when root, else say which line to type, and stop.
define install
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $(1); \
else \
	echo "System packages are missing. On Debian or Ubuntu type this line, then make again:" >&2; \
	echo "    sudo apt-get install $(1)" >&2; exit 1; \
fi
endef

.PHONY: demo test lint

demo: $(VENV)/.libraries-demo
	$(VENV)/bin/kptrack demo

test: $(VENV)/.libraries-test $(VENV)/.camera
	$(VENV)/bin/python -m pytest

lint: $(VENV)/.installed-test
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "kptrack needs Python 3.11 or newer; for another interpreter: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(call install,python3-venv); }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# One resolver run for everything: two could take a torch each, and gigabytes with it.
$(VENV)/.installed-%: pyproject.toml $(VENV)/.created
	$(VENV)/bin/python -m pip install $(PIP_ARGS) --editable '.[$*]'
	@touch $@

# Asks Qt and OpenCV themselves whether something is missing.
$(VENV)/.libraries-%: $(VENV)/.installed-%
	@QT_QPA_PLATFORM=offscreen $(VENV)/bin/python -c \
		'from PyQt6.QtWidgets import QApplication; QApplication([]); import cv2' 2>/dev/null \
		|| { $(call install,$(LIBRARIES)); }
	@touch $@

# Only where root can install it: without it those tests are skipped, and say so.
$(VENV)/.camera: $(VENV)/.created
	@[ "$$(id -u)" != 0 ] || /usr/bin/python3 -c 'import gi; gi.require_version("GstRtspServer", "1.0")' 2>/dev/null \
		|| { $(call install,$(CAMERA)); } || true
	@touch $@

# Without this, make removes the stamps as intermediate files and installs every time.
.SECONDARY:
