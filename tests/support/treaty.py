"""proto/control.h for tests: the packets between a supervisor and its children."""
import struct
from collections import namedtuple

PACKET = struct.Struct("@HHIQqiI64s128s64sQqqQII")
PACKET_FIELDS = ("version", "type", "ref", "generation", "value", "result", "reserved", "name",
                 "reason", "supervisor", "child_generation", "pid", "up_since_ms", "restarts",
                 "state", "is_supervisor")
Packet = namedtuple("Packet", PACKET_FIELDS)
CONTROL_FD = 3
(READY, HEARTBEAT, MONITOR, START_CHILD, TERMINATE_CHILD, KILL_CHILD, NEXT_CHILD,
 UP, DOWN, REPLY) = range(1, 11)
REQUESTS = {START_CHILD, TERMINATE_CHILD, KILL_CHILD, NEXT_CHILD}
(STOPPED, WAITING, STARTING, CHILD_UP, DEGRADED, STOPPING, BACKOFF, QUARANTINED) = range(8)
ENOENT, ESRCH, EEXIST, ENOSPC = 2, 3, 17, 28


def pack_packet(**fields):
    values = {name: 0 for name in PACKET_FIELDS}
    values.update(version=1, name="", reason="", supervisor="")
    values.update(fields)
    return PACKET.pack(*(v.encode() if isinstance(v, str) else v for v in values.values()))


def unpack_packet(raw):
    return Packet(*(v.split(b"\0")[0].decode() if isinstance(v, bytes) else v
                    for v in PACKET.unpack(raw)))
