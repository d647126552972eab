"""Reads the file of an offline run of W&B: records of its own protobuf in LevelDB's log format."""

import zlib

from wandb.proto.wandb_internal_pb2 import Record

_HEADER = b":W&B"
_HEADER_BYTES, _BLOCK, _CHUNK_HEADER = 7, 32768, 7
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def read_records(path):
    """The records of a ``.wandb`` file so far; each chunk's checksum is checked."""
    data = path.read_bytes()
    assert data[:4] == _HEADER
    place, parts, found = _HEADER_BYTES, [], []
    while place + _CHUNK_HEADER <= len(data):
        if _BLOCK - place % _BLOCK < _CHUNK_HEADER:
            place += _BLOCK - place % _BLOCK  # A block ends with zeros if no header fits.
            continue
        checksum = int.from_bytes(data[place : place + 4], "little")
        length = int.from_bytes(data[place + 4 : place + 6], "little")
        kind = data[place + 6]
        chunk = data[place + 7 : place + 7 + length]
        if len(chunk) < length:
            break  # It is being written.
        assert zlib.crc32(bytes([kind]) + chunk) == checksum
        parts = [chunk] if kind in (_WHOLE, _FIRST) else [*parts, chunk]
        if kind in (_WHOLE, _LAST):
            record = Record()
            record.ParseFromString(b"".join(parts))
            found.append(record)
        place += _CHUNK_HEADER + length
    return found
