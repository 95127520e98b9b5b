"""Numbers out of NASA's Common Data Format: as much of it as the poses of Human3.6M need.

Written after the description of the internal format, versions 2.6 to 3: a chain of variables, each
with a tree of index records that say where its values lie, plain or compressed with gzip.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

_V3, _V26, _COMPRESSED = 0xCDF30001, 0xCDF26002, 0xCCCC0001
_INDEX, _VALUES, _COMPRESSED_VALUES, _GZIP = 6, 7, 13, 5
_TYPES = {21: "f4", 44: "f4", 22: "f8", 45: "f8"}
_BIG = (1, 2, 5, 7, 9, 11, 12, 18)
_LITTLE = (4, 6, 13, 16, 17)
_BYTE_ORDERS = dict.fromkeys(_BIG, ">") | dict.fromkeys(_LITTLE, "<")


def read_variable(path: Path, name: str) -> np.ndarray:
    """Values ``(records, ...)`` of a variable of real numbers. Raises ``ValueError``."""
    try:
        return _File.of(path.read_bytes()).values(name)
    except FileNotFoundError as error:
        raise ValueError(f"{path} is not there") from error
    except (_Unreadable, struct.error, zlib.error, ValueError, LookupError, MemoryError) as error:
        why = f": {error}" if isinstance(error, _Unreadable) else ""
        raise ValueError(f"{path} is damaged or no CDF file that can be read{why}") from error


class _Unreadable(Exception):
    """The file is in order, but not of the kind that is read here."""


@dataclass(frozen=True)
class _File:
    """``word`` is the width of offsets and record sizes, ``text`` that of names."""

    data: bytes
    word: int
    text: int

    @classmethod
    def of(cls, data: bytes) -> _File:
        version, packed = struct.unpack_from(">II", data)
        if version not in (_V3, _V26):
            raise _Unreadable("want CDF version 2.6 or later")
        file = cls(data, *((8, 256) if version == _V3 else (4, 64)))
        if packed == _COMPRESSED:
            header = 8 + file.word + 4
            file._want_gzip(file.offset(header))
            whole = zlib.decompress(data[header + 2 * file.word + 4 :], wbits=47)
            file = cls(data[:8] + whole, file.word, file.text)
        return file

    def number(self, at: int) -> int:
        return int(struct.unpack_from(">i", self.data, at)[0])

    def offset(self, at: int) -> int:
        return int(struct.unpack_from(">q" if self.word == 8 else ">i", self.data, at)[0])

    def body(self, record: int) -> int:
        """Where the fields of a record begin: after its size and kind."""
        return record + self.word + 4

    def _want_gzip(self, parameters: int) -> None:
        if self.number(self.body(parameters)) != _GZIP:
            raise _Unreadable("it is compressed, and not with gzip")

    def values(self, name: str) -> np.ndarray:
        start = self.body(8)
        general, encoding = self.body(self.offset(start)), self.number(start + self.word + 8)
        row_major = self.number(start + self.word + 12) & 1
        for chain in (0, 1):  # variables of the old kind, whose shape stands in the general record, and new
            at = self.offset(general + chain * self.word)
            while at > 0:
                body = self.body(at)
                label = body + 4 * self.word + 40
                if self.data[label : label + self.text].rstrip(b"\0 ").decode("latin-1") == name:
                    if encoding not in _BYTE_ORDERS or self.number(body + self.word) not in _TYPES:
                        raise _Unreadable(f"{name} is not of IEEE real numbers")
                    dtype = np.dtype(_BYTE_ORDERS[encoding] + _TYPES[self.number(body + self.word)])
                    records = self.number(body + self.word + 4) + 1
                    shape = self._shape(label + self.text, general if chain == 0 else None)
                    index = self.offset(body + self.word + 8)
                    return self._gather(index, records, shape, dtype, bool(row_major))
                at = self.offset(body)
        raise _Unreadable(f"no variable {name} in it")

    def _shape(self, at: int, general: int | None) -> tuple[int, ...]:
        """The extents that are stored: a dimension may be declared and yet not vary."""
        if general is None:
            count, sizes, varies = self.number(at), at + 4, at + 4 + 4 * self.number(at)
        else:
            count, sizes, varies = self.number(general + 4 * self.word + 12), general + 5 * self.word + 32, at
        each = range(count)
        return tuple(self.number(sizes + 4 * i) for i in each if self.number(varies + 4 * i))

    def _gather(
        self, index: int, records: int, shape: tuple[int, ...], dtype: np.dtype, row_major: bool
    ) -> np.ndarray:
        values = np.zeros((records, prod(shape)), dtype)
        for first, last, block in self._blocks(index):
            length = (last - first + 1) * values.shape[1]
            values[first : last + 1] = np.frombuffer(block, dtype, length).reshape(-1, values.shape[1])
        if row_major:
            return values.reshape(records, *shape)
        return np.moveaxis(values.reshape(records, *shape[::-1]), 0, -1).T

    def _blocks(self, index: int) -> Iterator[tuple[int, int, bytes]]:
        """First and last record and the bytes of every stored run of them."""
        while index > 0:
            body = self.body(index)
            entries, used = self.number(body + self.word), self.number(body + self.word + 4)
            table = body + self.word + 8
            for entry in range(used):
                first, last = (self.number(table + 4 * (entry + part)) for part in (0, entries))
                record = self.offset(table + 8 * entries + self.word * entry)
                start, kind = self.body(record), self.number(record + self.word)
                if kind == _INDEX:
                    yield from self._blocks(record)
                elif kind == _VALUES:
                    yield first, last, self.data[start : record + self.offset(record)]
                elif kind == _COMPRESSED_VALUES:
                    packed = start + 4 + self.word
                    yield first, last, zlib.decompress(self.data[packed:], wbits=47)
                else:
                    raise _Unreadable(f"a record of kind {kind} where values should be")
            index = self.offset(body)
