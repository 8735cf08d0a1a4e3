"""tests/support/treaty.py speaks the protocol that proto/control.h defines."""
import re
import struct
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.harness import ROOT  # noqa: E402
from support.treaty import PACKET  # noqa: E402


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
            (void)printf("%zu", sizeof(struct control_packet));
        }""")
    subprocess.run(["cc", "-I", str(ROOT), "-o", str(tmp_path / "layout"), str(source)], check=True)
    said = list(map(int, subprocess.check_output([str(tmp_path / "layout")]).split()))
    codes = re.findall(r"\d*[a-zA-Z]", PACKET.format.lstrip("@"))
    codes = [c for code in codes for c in ([code] if code.endswith("s") else list(code))]
    offsets, at = [], "@"
    for code in codes:
        at += code
        offsets.append(struct.calcsize(at) - struct.calcsize("@" + code))
    assert [*offsets, PACKET.size] == said
