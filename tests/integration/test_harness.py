"""tests/support/treaty.py speaks the protocol that proto/control.h defines."""
import re
import struct
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.harness import ROOT  # noqa: E402
from support.treaty import CHILD, CRASH, HEAD, PACKET_SIZE  # noqa: E402


def test_harness_packs_control_packets_as_the_header_says(tmp_path):
    source = tmp_path / "layout.c"
    source.write_text("""
        #include <stddef.h>
        #include <stdio.h>
        #include "proto/control.h"
        #define AT(f) (void)printf("%zu ", offsetof(struct control_packet, f))
        int main(void)
        {
            AT(version); AT(type); AT(ref); AT(generation); AT(value); AT(result); AT(reserved);
            AT(name); AT(reason); AT(child.supervisor); AT(child.generation); AT(child.pid);
            AT(child.up_since_ms); AT(child.restarts); AT(child.state); AT(child.is_supervisor);
            AT(child.is_dynamic); AT(child.deleted);
            AT(crash.message.method); AT(crash.message.from); AT(crash.message.trace);
            AT(crash.message.from_generation); AT(crash.message.ref); AT(crash.message.since_ms);
            AT(crash.doing); AT(crash.at_ms); AT(crash.uptime_ms); AT(crash.pid); AT(crash.death);
            AT(crash.code); AT(crash.was_up); AT(crash.blamed); AT(crash.frame_count);
            AT(crash.reserved);
            (void)printf("%zu", sizeof(struct control_packet));
        }""")
    subprocess.run(["cc", "-I", str(ROOT), "-o", str(tmp_path / "layout"), str(source)], check=True)
    said = list(map(int, subprocess.check_output([str(tmp_path / "layout")]).split()))
    assert [*offsets(HEAD), *(HEAD.size + at for at in [*offsets(CHILD), *offsets(CRASH)]),
            PACKET_SIZE] == said


def offsets(layout):
    codes = re.findall(r"\d*[a-zA-Z]", layout.format.lstrip("@"))
    codes = [c for code in codes for c in ([code] if code.endswith("s") else list(code))]
    at, found = "@", []
    for code in codes:
        at += code
        found.append(struct.calcsize(at) - struct.calcsize("@" + code))
    return found
