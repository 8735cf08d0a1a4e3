"""Runs a program as on a kernel that has no Landlock, no filters for all threads, and no clone3().

    old_kernel.py PROGRAM ARGUMENT ...

A filter of our own (seccomp, by prctl) answers those calls with ENOSYS.
"""
import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_SECCOMP, SECCOMP_MODE_FILTER, PR_SET_NO_NEW_PRIVS = 22, 2, 38
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
SECCOMP = {"x86_64": 317, "aarch64": 277}[platform.machine()]
LANDLOCK = range(444, 447)
CLONE3 = 435


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def missing(numbers):
    """The filter's instructions: those numbers do not exist."""
    steps = [(LOAD, 0, 0, 0)]
    for at, number in enumerate(numbers):
        steps.append((JUMP_EQUAL, len(numbers) - at, 0, number))
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ERRNO | errno.ENOSYS)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps), len(steps)


def main():
    libc = ctypes.CDLL(None, use_errno=True)
    code, count = missing([SECCOMP, CLONE3, *LANDLOCK])
    text = ctypes.create_string_buffer(code)
    program = Program(count, ctypes.cast(text, ctypes.c_void_p))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 or \
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) < 0:
        sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
