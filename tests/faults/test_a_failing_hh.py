"""A person's whole life while HH answers late, refuses, fails and cuts connections: HH has 30 applications at
the end, each once. The whole 2 s for each answer take minutes: UGTJ_HH_LATENCY_MS=2000."""
import os

import pytest
from support.person import CALLBACK, SOON, apply_to_all, check

pytestmark = pytest.mark.simulator(*SOON)
LATENCY_MS = int(os.environ.get("UGTJ_HH_LATENCY_MS", 300))


@pytest.mark.settings(HH_REDIRECT_URI=CALLBACK)
def test_an_hh_that_fails_resets_and_takes_its_time(system, simulator, person, listener):
    for fault in ({"kind": "latency", "ms": LATENCY_MS, "path": "/"},
                  {"kind": "429", "path": "/", "probability": 0.1},
                  {"kind": "503", "path": "/", "probability": 0.1},
                  {"kind": "reset_after", "path": "/negotiations", "probability": 0.05},
                  {"kind": "reset", "path": "/", "probability": 0.05}):
        if fault["path"] == "/":
            for path in "/negotiations", "/resumes":
                simulator.control("faults", {**fault, "path": path})
        else:
            simulator.control("faults", fault)
    workflow, vacancies = apply_to_all(simulator, person, 400)
    check(simulator, person, listener, workflow, vacancies)
