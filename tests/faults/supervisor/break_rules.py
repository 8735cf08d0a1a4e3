#!/usr/bin/python3
"""Does each test of the supervisor fail when the rule that it names is broken?

    tests/faults/supervisor/break_rules.py [WORD ...]    only rules with one of the words in them

In a copy of the sources, each rule of rules.py is broken, the product built, and the tests run that are to notice
it; then the rule is mended. Takes about half an hour. Ends with 1 when a rule cannot be broken, when it was broken
and a test passed all the same, or when a test of the files in rules.TESTS belongs to no rule.
"""
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import rules

ROOT = Path(__file__).resolve().parents[3]
SUITE = Path(__file__).resolve().parent.relative_to(ROOT)
TARGETS = ["test_tree", "test_child", "test_actor", "ugtj", "cli", "door", "telemetry"]
PATIENCE_S = 8  # of a test for what it expects, where 30 s are usual
LIMIT_S = 400
PR_SET_CHILD_SUBREAPER = 36


def copy_sources(to):
    files = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                           capture_output=True).stdout
    for name in filter(None, files.decode().split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def build(sources):
    """What went wrong, or None."""
    done = subprocess.run(["ninja", "-C", str(sources / "build"), *TARGETS], capture_output=True, text=True,
                          check=False)
    return done.stdout[-2000:] if done.returncode else None


def end_what_is_left():
    """A broken supervisor leaves children behind: they have come to us."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while pids := children.read_text().split():
        for pid in pids:
            os.kill(int(pid), signal.SIGKILL)
            os.waitpid(int(pid), 0)


def tests_of(rule):
    """The tests that are to fail, as pytest names them."""
    return [f"{rules.TESTS[file]}::test_{name}" for file, name in (word.split(".") for word in rule[2].split())]


def passing(sources, tests):
    """Those of the tests that do not fail: by one of their parameters, if they have such."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", "-rfE",
         *(str(sources / SUITE / test) for test in tests)],
        capture_output=True, text=True, check=False, cwd=sources, timeout=LIMIT_S,
        env={**os.environ, "UGTJ_BUILD_DIR": str(sources / "build"), "TEST_PATIENCE_S": str(PATIENCE_S)})
    failed = set(re.findall(r"^(?:FAILED|ERROR) \S*?(test_\w+\.py::test_\w+)", done.stdout, re.MULTILINE))
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stdout + done.stderr)
    return [test for test in tests if test not in failed]


def break_one(sources, rule):
    """What is wrong, or None: all its tests have noticed."""
    changed = {file for file, _, _ in rule[1]}
    try:
        for file, before, after in rule[1]:
            text = (sources / file).read_text()
            if text.count(before) != 1:
                return f"stands {text.count(before)} times in {file}: {before!r}"
            (sources / file).write_text(text.replace(before, after))
        failure = build(sources)
        if failure:
            return f"does not build: {failure}"
        left = passing(sources, tests_of(rule))
        return f"not noticed by {', '.join(left)}" if left else None
    except subprocess.TimeoutExpired:
        return None  # nobody would take that for a success
    finally:
        end_what_is_left()
        for file in changed:
            shutil.copy(ROOT / file, sources / file)


def without_rule():
    """Tests of the suite that no rule names."""
    named = {test for rule in rules.RULES for test in tests_of(rule)}
    named |= set(tests_of((None, None, " ".join(rules.UNBREAKABLE))))
    return [f"{file}::{test}" for file in rules.TESTS.values()
            for test in re.findall(r"^def (test_\w+)", (ROOT / SUITE / file).read_text(), re.MULTILINE)
            if f"{file}::{test}" not in named]


def main(words):
    chosen = [rule for rule in rules.RULES if not words or any(word in rule[0] for word in words)]
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="ugtj-rules-") as folder:
        sources = Path(folder)
        copy_sources(sources)
        options = sources / "cmake/compile_options.cmake"
        options.write_text(options.read_text().replace(" -Werror", ""))  # what is broken may be unused
        subprocess.run(["cmake", "--preset", "dev"], cwd=sources, check=True, stdout=subprocess.DEVNULL)
        if failure := build(sources):
            raise RuntimeError(failure)
        tests = sorted({test for rule in chosen for test in tests_of(rule)})
        if failing := set(tests) - set(passing(sources, tests)):
            raise RuntimeError(f"these fail with nothing broken: {sorted(failing)}")
        for rule in chosen:
            problem = break_one(sources, rule)
            wrong += problem is not None
            print(f"{'ok    ' if problem is None else 'WRONG '} {rule[0]}{'' if problem is None else ': ' + problem}",
                  flush=True)
    uncovered = [] if words else without_rule()
    for test in uncovered:
        print(f"WRONG  {test} belongs to no rule")
    print(f"{len(chosen)} rules broken, {len(chosen) - wrong} noticed; {len(uncovered)} tests without a rule")
    return 1 if wrong or uncovered else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
