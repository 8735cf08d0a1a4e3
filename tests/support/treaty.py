"""proto/control.h for tests: the packets between a supervisor and its children."""
import struct
from collections import namedtuple

VERSION = 3
HEAD = struct.Struct("@HHIQqiI64s128s")
HEAD_FIELDS = ("version", "type", "ref", "generation", "value", "result", "reserved", "name", "reason")
CHILD = struct.Struct("@64sQqqQIIII")
CHILD_FIELDS = ("supervisor", "child_generation", "pid", "up_since_ms", "restarts", "state",
                "is_supervisor", "is_dynamic", "deleted")
CRASH = struct.Struct("@64s64s72sQqq16sqqqIiIIII")  # the larger part of the union
CRASH_FIELDS = ("method", "from", "trace", "from_generation", "message_ref", "since_ms", "doing",
                "at_ms", "uptime_ms", "pid", "death", "code", "was_up", "blamed", "frame_count",
                "reserved")
PACKET_SIZE = HEAD.size + CRASH.size
Packet = namedtuple("Packet", HEAD_FIELDS + CHILD_FIELDS)
CONTROL_FD = 3
(READY, HEARTBEAT, MONITOR, START_CHILD, TERMINATE_CHILD, KILL_CHILD, NEXT_CHILD,
 NEXT_CRASH, CRASH_FRAME, RESTART_CHILD, DELETE_CHILD, RENEW_CHILD, UP, DOWN, REPLY) = range(1, 16)
REQUESTS = {START_CHILD, TERMINATE_CHILD, KILL_CHILD, NEXT_CHILD, NEXT_CRASH,
            CRASH_FRAME, RESTART_CHILD, DELETE_CHILD, RENEW_CHILD}
(STOPPED, WAITING, STARTING, CHILD_UP, DEGRADED, STOPPING, BACKOFF, QUARANTINED) = range(8)
ENOENT, ESRCH, EEXIST, ENOSPC = 2, 3, 17, 28


def pack(layout, names, fields):
    values = [fields.get(name, 0) for name in names]
    return layout.pack(*((value or "").encode() if code == "s" else value
                         for value, code in zip(values, codes(layout))))


def codes(layout):
    return [c for c in layout.format if c.isalpha()]


def pack_packet(crash=None, culprit=None, **fields):
    """crash, culprit: the fields of control_crash or, of these, those of its message. They stand where
    those of control_child would."""
    head = pack(HEAD, HEAD_FIELDS, {"version": VERSION, **fields})
    other = crash or culprit
    rest = pack(CRASH, CRASH_FIELDS, other) if other else pack(CHILD, CHILD_FIELDS, fields)
    return (head + rest).ljust(PACKET_SIZE, b"\0")


def unpack_packet(raw):
    values = HEAD.unpack_from(raw) + CHILD.unpack_from(raw, HEAD.size)
    return Packet(*(v.split(b"\0")[0].decode() if isinstance(v, bytes) else v for v in values))
