"""The sound of the source, copied or re-encoded into what is written from it."""

from __future__ import annotations

from fractions import Fraction

import av.error
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from tracker.clock import Clock

# What browsers and players expect inside MP4; the rest becomes AAC.
_MP4_AUDIO = ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac")
_AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)


class Sound:
    """The source's first audio stream, read a second time beside the pictures: memory stays flat."""

    def __init__(self, container: InputContainer, output: OutputContainer, notes: list[str]) -> None:
        self._container, self._output = container, output
        self._input = container.streams.audio[0]
        codec = self._input.codec_context
        name = codec.codec.canonical_name
        # AAC of transport streams has no header of its own, which MP4 needs.
        headless = name == "aac" and not codec.extradata
        self._copied = name in _MP4_AUDIO and not headless
        if self._copied:
            self._stream = output.add_stream_from_template(self._input)
        else:
            rate = codec.sample_rate if codec.sample_rate in _AAC_RATES else 48_000
            self._stream = output.add_stream("aac", rate=rate)
            # WAV-like sound often counts its channels without naming them, which AAC must.
            nameless = codec.layout.name.endswith("channels")
            plain = "mono" if codec.channels == 1 else "stereo"
            self._stream.layout = plain if nameless else codec.layout
            reason = "it comes without a header" if headless else "MP4 does not take it"
            notes.append(f"sound: {name} re-encoded to AAC, {reason}")
            self._resampler, self._resampled = self._new_resampler(), ""
            self._due: int | None = None  # when the next samples begin at the earliest, in samples
        self._packets = container.demux(self._input)
        self._ahead: Packet[AudioStream] | None = None
        self._clock = Clock(self._input.time_base or Fraction(1, codec.sample_rate))

    def feed(self, until_s: float, origin_s: float) -> None:
        """Write what begins before ``until_s``, a time of the output; its 0 is the source's ``origin_s``."""
        while True:
            packet, self._ahead = self._ahead or self._next(), None
            if packet is None:
                return
            begin_s = float((packet.pts or 0) * packet.time_base) - origin_s
            if begin_s >= until_s:
                self._ahead = packet
                return
            # The encoder's run-in lies before 0 and belongs to the sound; what a trim cuts off does not.
            if origin_s > 0 and begin_s < 0:
                continue
            self._write(packet, round(origin_s / packet.time_base))

    def _next(self) -> Packet[AudioStream] | None:
        """The next packet with a time; None at the end or where the file breaks off."""
        try:
            for packet in self._packets:
                if packet.dts is not None:
                    shift = self._clock.after(packet.dts, packet.duration or 0) - packet.dts
                    packet.pts = None if packet.pts is None else packet.pts + shift
                    packet.dts += shift
                    return packet
        except (OSError, av.error.FFmpegError):
            pass
        return None

    def _write(self, packet: Packet[AudioStream], shift: int) -> None:
        if self._copied:
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            packet.stream = self._stream
            self._output.mux_one(packet)
            return
        try:
            frames = packet.decode()
        except (OSError, av.error.FFmpegError):
            return  # a click, not the end
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= shift
            self._encode(frame)

    def _encode(self, frame: AudioFrame | None) -> None:
        """Broadcasts and joined recordings change from mono to stereo, or their rate: so may ``frame``."""
        kind = f"{frame.format.name} {frame.layout.name} {frame.sample_rate}" if frame else ""
        if kind != self._resampled:
            if self._resampled:
                self._mux(self._resampler.resample(None))
            self._resampler, self._resampled = self._new_resampler(), kind
        if frame is not None:
            self._mux(self._resampler.resample(frame))

    def _mux(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            # What a resampler still held may reach into the time of what the next one begins with.
            begin = frame.pts or 0
            frame.pts = begin if self._due is None else max(begin, self._due)
            self._due = frame.pts + frame.samples
            self._output.mux(self._stream.encode(frame))

    def _new_resampler(self) -> AudioResampler:
        codec = self._stream.codec_context
        return AudioResampler(codec.format, codec.layout, codec.sample_rate)

    def flush(self) -> None:
        """Get the last samples out of the encoder, if there is one."""
        if not self._copied:
            self._encode(None)
            self._output.mux(self._stream.encode(None))

    def close(self) -> None:
        """Close the second reader."""
        self._container.close()
