"""No secret stands where it can be read off a process, a log, a report or the database."""
import json
import re
import signal
from pathlib import Path

import pytest
from support.person import CALLBACK, CV, OPEN, Person
from support.system import wait_for

SECRETS = ["DATABASE_URL", "ORCHESTRATOR_SECRET", "SECRET_KEY_BASE", "ENCRYPTION_KEY", "HH_CLIENT_SECRET"]
TOKEN = re.compile(r"(?:USER|APPL)[0-9A-F]{60}")  # as the simulator makes them
NEW_KEY = "the key that follows the one before"


def secrets_of(system):
    return [system.environment[name] for name in SECRETS]


def test_no_process_shows_a_secret_in_its_environment(system, user):
    system.request(f"/api/schedules/{user}", "PUT", {"search": {"text": "python"}, "interval_s": 5})
    pids = {child["name"]: child["pid"] for child in system.tree().values() if child["pid"]}
    pids["supervisor"] = system.process.pid
    assert len(pids) > 9
    for name, pid in pids.items():
        shown = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"RUN_DIR=" in shown, name
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        for secret in secrets_of(system):
            assert secret.encode() not in shown + words, name


def in_clear(postgres):
    """Tokens that stand anywhere in the database."""
    connection = postgres.connect(postgres.database)
    found, rows = [], 0
    with connection.cursor() as cursor:
        cursor.execute("select format('%I', table_name) from information_schema.tables"
                       " where table_schema = 'public' and table_type = 'BASE TABLE'")
        for (table,) in cursor.fetchall():
            cursor.execute(f"select t::text from {table} t")
            for (row,) in cursor.fetchall():
                rows += 1
                found += TOKEN.findall(row)
    connection.close()
    assert rows > 25, "there was something to look through"
    return found


def apply_to(person, simulator, number):
    vacancy, = simulator.publish(1, name=f"Программист C, {number}", **OPEN)
    body = {"job_external_id": str(vacancy), "customized_cv": CV, "cover_letter": "Здравствуйте!"}
    return wait_for(lambda: person.insist("/api/applications/submit", "POST", body).status == 200, 60)


@pytest.mark.settings(HH_REDIRECT_URI=CALLBACK, LOG_LEVEL="debug")
def test_tokens_are_in_no_log_no_report_and_not_in_clear_in_the_database(system, simulator, postgres):
    person = Person(lambda: system.url, postgres)
    person.connect()
    apply_to(person, simulator, 1)
    before = system.kill("hh_client", signal.SIGABRT)
    system.wait_restarted(before)
    apply_to(person, simulator, 2)
    system.environment |= {"ENCRYPTION_KEY": NEW_KEY,
                           "ENCRYPTION_KEYS_OLD": system.environment["ENCRYPTION_KEY"]}
    system.stop()
    system.start()
    rotated = json.loads(system.ugtj("rotate-keys", "--json").stdout)
    assert rotated["sealed"] >= 1 and rotated["unreadable"] == 0, rotated
    apply_to(person, simulator, 3)
    crashes = system.ugtj("crashes", "--json").stdout
    shown = system.log() + crashes + "".join(
        system.ugtj(*words).stdout for words in (["status"], ["applications"], ["schedules"]))
    assert "child.crash" in system.log()
    assert TOKEN.findall(shown) == [] and in_clear(postgres) == []
    for secret in secrets_of(system):
        assert secret not in shown
    person.close()
