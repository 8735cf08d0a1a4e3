"""build/ugtj itself: its commands and what it says of wrong settings."""
import base64
import os
import subprocess

import pytest

from conftest import BUILD

UGTJ = BUILD / "ugtj"
GOOD = {"DATABASE_URL": "postgres:///x", "ORCHESTRATOR_SECRET": "s" * 16, "HH_ACCESS_TOKEN": "t" * 16}


@pytest.fixture
def ugtj(tmp_path):
    def run(*words, **settings):
        return subprocess.run([str(UGTJ), *words], capture_output=True, text=True, cwd=tmp_path,
                              env={"PATH": os.environ["PATH"], **settings}, timeout=30)
    return run


def test_help_lists_every_command(ugtj):
    for words in (["--help"], ["help"], ["-h"]):
        done = ugtj(*words)
        assert done.returncode == 0 and done.stderr == ""
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert {"server", "check", "gen-secret", "status", "search", "job", "schedule", "unschedule",
            "schedules", "fetch-now", "crashes", "kill", "call", "migrate", "rollback", "migration",
            "db"} <= listed
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_version(ugtj):
    assert ugtj("--version").stdout.startswith("ugtj ")


@pytest.mark.parametrize("words", [[], ["dance"], ["server", "now"], ["check", "it"],
                                   ["gen-secret", "3"], ["gen-secret", "x"],
                                   ["gen-secret", "32", "33"], ["gen-secret", "-1"]])
def test_what_is_not_understood_is_a_usage_error(ugtj, words):
    done = ugtj(*words)
    assert done.returncode == 64 and done.stdout == "" and done.stderr


def test_gen_secret_is_random_and_of_the_length_asked_for(ugtj):
    def decoded(text):
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    for words, size in ([], 32), (["16"], 16), (["33"], 33), (["64"], 64):
        first, second = [ugtj("gen-secret", *words).stdout for _ in range(2)]
        assert first.endswith("\n") and first != second
        assert len(decoded(first.strip())) == size


@pytest.mark.parametrize("command", ["server", "check"])
def test_all_that_is_wrong_is_said_at_once(ugtj, command):
    done = ugtj(command, PORT="x", HH_MAX_RPS="0")
    assert done.returncode == 78
    for name in ("DATABASE_URL", "ORCHESTRATOR_SECRET", "PORT", "HH_MAX_RPS"):
        assert name in done.stderr


def test_check_says_ok_and_reads_dot_env(ugtj, tmp_path):
    (tmp_path / ".env").write_text("".join(f"{k}={v}\n" for k, v in GOOD.items()))
    done = ugtj("check")
    assert (done.returncode, done.stdout) == (0, "configuration OK\n"), done.stderr
    assert ugtj("check", PORT="x").returncode == 78, "the environment goes first"
    (tmp_path / ".env").write_text("nonsense\n")
    assert ugtj("check", **GOOD).returncode == 78


def test_secrets_are_not_printed(ugtj):
    done = ugtj("check", **{**GOOD, "ENCRYPTION_KEY": "shorty"})
    assert "ENCRYPTION_KEY" in done.stderr and "shorty" not in done.stderr


def test_other_commands_become_their_program(tmp_path):
    """With a libexec of our own beside a copy of the program."""
    copy = tmp_path / "bin/ugtj"
    (tmp_path / "libexec/ugtj").mkdir(parents=True)
    copy.parent.mkdir()
    copy.write_bytes(UGTJ.read_bytes())
    copy.chmod(0o755)
    for program in ("cli", "migrate"):
        path = tmp_path / "libexec/ugtj" / program
        path.write_text('#!/bin/sh\necho "$0 $* $FROM_ENV"\n')
        path.chmod(0o755)
    (tmp_path / ".env").write_text("FROM_ENV=seen\n")

    def run(*words):
        return subprocess.run([str(copy), *words], capture_output=True, text=True, cwd=tmp_path,
                              timeout=30)
    assert run("status", "--json").stdout.split()[0].endswith("/libexec/ugtj/cli")
    assert run("status", "--json").stdout.split()[1:] == ["status", "--json", "seen"]
    assert run("rollback", "2").stdout.split()[1:] == ["rollback", "2", "seen"]
    (tmp_path / "libexec/ugtj/cli").unlink()
    missing = run("status")
    assert missing.returncode == 69 and "cli" in missing.stderr
