"""The README's commands for an account and an application do what it says when they are typed."""
import json
import re
import subprocess

from support.system import BUILD, ROOT, SECRET, wait_for

SECTION = "## Connect an account and apply"


def commands():
    """The section's indented lines, one script."""
    text = (ROOT / "README.md").read_text().split(SECTION + "\n", 1)[1].split("\n## ", 1)[0]
    return "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))


def typed(system):
    """Runs them in one shell; gives what each command printed. What `./run` tells by .local/env and by
    its ports is put in its place, and nothing else is changed."""
    script = commands().replace("localhost:4000", system.url.removeprefix("http://"))
    script = script.replace("build/ugtj", str(BUILD / "ugtj")).replace(". .local/env\n", "")
    assert ".local" not in script and "4000" not in script.replace(system.url[-5:], "")
    return subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True,
                          timeout=120, cwd=ROOT, env={
                              **system.environment, "ORCHESTRATOR_SECRET": SECRET,
                              "ZMQ_PORT": str(system.zmq_port)})


def test_the_section_is_there():
    assert len(re.findall(r"^core ", commands(), re.M)) >= 5


def test_an_account_is_connected_and_an_application_sent(system, simulator):
    done = typed(system)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    login, status, resumes, application, bucket = answers
    assert login["success"] and login["jwt"].count(".") == 2, login
    assert status["connected"] is True, status
    assert resumes["success"] and isinstance(resumes["items"], list), resumes
    assert application["success"] is True, application
    assert bucket["capacity"] == 20 and bucket["tokens"] < 20, bucket
    person = login["session_id"]
    assert person in done.stdout.split("APPLICATION", 1)[1], "ugtj applications"
    assert "of 20 tokens" in done.stdout

    def sent():
        answer = system.request(f"/api/applications/{application['job_id']}", **{"X-Session-Id": person})
        return answer.json["application"]["status"] == "submitted"
    wait_for(sent, 60, "the application is at HH")
