"""A network camera: an RTSP server by GStreamer, for the system's Python, which has its bindings.

``python3 rtsp_server.py PORT USER PASSWORD`` prints ``ready`` when it listens, at ``/stream``, on loopback
only, and plays until it is killed. Ends with code 77 and a line where a part of GStreamer is missing.
"""

from __future__ import annotations

import sys

_MISSING = 77
_PICTURES = (
    "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=25/1 "
    "! openh264enc gop-size=5 ! rtph264pay name=pay0 pt=96 config-interval=1"
)


def serve(port: str, user: str, password: str) -> None:
    """Play until killed, to whoever knows the password."""
    try:
        import gi  # type: ignore[import-not-found]

        gi.require_version("Gst", "1.0")
        gi.require_version("GstRtspServer", "1.0")
        from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found]
    except (ImportError, ValueError) as error:
        _give_up(str(error))
    Gst.init(None)
    for element in ("videotestsrc", "openh264enc", "rtph264pay"):
        if Gst.ElementFactory.find(element) is None:
            _give_up(f"no {element}")
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_launch(f"( {_PICTURES} )")
    viewer, _ = Gst.Structure.from_string(
        "viewer, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
    )
    factory.add_role_from_structure(viewer)
    token = GstRtspServer.RTSPToken.new()
    token.set_string("media.factory.role", "viewer")
    auth = GstRtspServer.RTSPAuth.new()
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(port)
    server.set_auth(auth)
    server.get_mount_points().add_factory("/stream", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


def _give_up(reason: str) -> None:
    print(reason, flush=True)
    sys.exit(_MISSING)


if __name__ == "__main__":
    serve(*sys.argv[1:])
