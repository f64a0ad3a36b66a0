"""What the log servers are sent: the form of a batch of lines for each kind (behaviour 24). Pure."""

import json
import struct
from collections.abc import Mapping, Sequence

from host.clock import utc_text
from ipc.parts import LogStream

#: What the forward protocol packs: texts, whole numbers, lists and objects of these.
Packed = str | int | Sequence["Packed"] | Mapping[str, "Packed"]


def records_of(stream: LogStream, lines: Sequence[str], wall: float) -> list[dict[str, str]]:
    """Return one record for each line that was read at `wall` (epoch seconds): labels, stamp and message."""
    labels = {label.name: label.value for label in stream.labels}
    stamp = utc_text(wall)
    return [{**labels, "PilotTimeStamp": stamp, "message": line} for line in lines]


def http_body(stream: LogStream, lines: Sequence[str], wall: float) -> bytes:
    """Return the body of the request that brings lines to a server that speaks HTTP.

    Loki gets one stream with the labels, and lines in order by a nanosecond each; others get a list of records.
    """
    if stream.kind != "loki":
        return json.dumps(records_of(stream, lines, wall)).encode()
    labels = {label.name: label.value for label in stream.labels}
    chosen = {name: labels[name] for name in stream.stream_labels if name in labels} or labels
    first_ns = int(wall * 1e9)
    values = [[str(first_ns + number), line] for number, line in enumerate(lines)]
    return json.dumps({"streams": [{"stream": chosen, "values": values}]}).encode()


def forward_body(stream: LogStream, lines: Sequence[str], wall: float) -> bytes:
    """Return a message of fluentd's forward protocol (version 1, forward mode): the tag and its entries."""
    entries: list[Packed] = [[int(wall), record] for record in records_of(stream, lines, wall)]
    return pack([stream.name, entries, {"size": len(entries)}])


def pack(value: Packed) -> bytes:
    """Return a value in MessagePack.

    Raises:
        ValueError: a number that is negative or has more than 64 bits.
    """
    if isinstance(value, int):
        if not 0 <= value < 1 << 64:
            raise ValueError(f"{value} is not packed")
        return b"\xcf" + struct.pack(">Q", value)
    if isinstance(value, str):
        data = value.encode("utf-8", "replace")
        return b"\xdb" + struct.pack(">I", len(data)) + data
    if isinstance(value, Mapping):
        return b"\xdf" + struct.pack(">I", len(value)) + b"".join(pack(k) + pack(v) for k, v in value.items())
    return b"\xdd" + struct.pack(">I", len(value)) + b"".join(pack(item) for item in value)
