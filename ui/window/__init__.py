"""The window of ``kptrack live``: all that is Qt, and what only the window needs.

``app`` opens ``mainwindow``, whose tabs are ``livepage``, ``batch`` and ``compare``. ``bridge`` is where a
live session meets Qt. Of the other packages and of ``ui`` nothing imports it, but to open it.
"""
