"""No secret stands where it can be read off a process from outside."""
from pathlib import Path

SECRETS = ["DATABASE_URL", "ORCHESTRATOR_SECRET", "SECRET_KEY_BASE", "ENCRYPTION_KEY", "HH_CLIENT_SECRET"]


def test_no_process_shows_a_secret_in_its_environment(system, user):
    system.request(f"/api/schedules/{user}", "PUT", {"search": {"text": "python"}, "interval_s": 5})
    pids = {child["name"]: child["pid"] for child in system.tree().values() if child["pid"]}
    pids["supervisor"] = system.process.pid
    assert len(pids) > 7
    for name, pid in pids.items():
        shown = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"RUN_DIR=" in shown, name
        for secret in SECRETS:
            assert system.environment[secret].encode() not in shown, f"{secret} of {name}"
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert not any(system.environment[secret].encode() in words for secret in SECRETS), name
