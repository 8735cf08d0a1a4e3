"""RUN_DIR belongs to one server and is left as it was found."""
import errno
import resource
import subprocess

from conftest import PROGRAM, START_CHILD, Tree


def test_it_is_made_private_and_holds_lock_pid_and_sockets(start):
    tree = start("one_for_one").up()
    assert tree.run_dir.stat().st_mode & 0o777 == 0o700
    assert int((tree.run_dir / "supervisor.pid").read_text()) == tree.process.pid
    assert sorted(p.name for p in tree.run_dir.iterdir()) == \
        ["a.1", "b.1", "c.1", "lock", "probe.1", "supervisor.pid"]
    tree.stop()


def test_missing_parents_are_made(start, tmp_path):
    tree = start("one_for_one", RUN_DIR=tmp_path / "x/y/run").up()
    tree.run_dir = tmp_path / "x/y/run"
    tree.stop()


def test_a_second_server_is_refused_and_told_by_whom(start, tmp_path):
    first = start("one_for_one").up()
    second = subprocess.run([str(PROGRAM), "one_for_one"], capture_output=True, text=True,
                            env={"RUN_DIR": str(first.run_dir)}, timeout=30)
    assert second.returncode == 69
    assert f"pid={first.process.pid}" in second.stderr and "another server" in second.stderr
    assert first.kill_and_wait("a")
    first.stop()


def test_sockets_of_the_dead_are_removed(start):
    tree = start("one_for_one").up()
    tree.kill_and_wait("a")
    names = {p.name for p in tree.run_dir.iterdir()}
    assert "a.1" not in names and "a.2" in names
    tree.stop()


def test_leftovers_of_a_killed_server_do_not_matter(start, tmp_path):
    first = Tree("one_for_one", folder=tmp_path).up()
    first.process.kill()
    first.process.wait()
    assert (first.run_dir / "b.1").exists() and (first.run_dir / "lock").exists()
    (first.run_dir / "http_port").write_text("1")
    second = Tree("one_for_one", {"c": "never-ready"}, folder=tmp_path)
    second.expect("child.start", name="c")
    assert not (first.run_dir / "http_port").exists()
    second.stop()
    first.close()
    second.close()


def test_files_of_others_are_not_touched(start, tmp_path):
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    (run / "letters").write_text("dear")
    tree = start("one_for_one", RUN_DIR=run).up()
    tree.process.terminate()
    assert tree.process.wait(30) == 0
    assert [p.name for p in run.iterdir()] == ["letters"]


def test_a_directory_that_is_open_to_others_and_in_use_is_refused(start, tmp_path):
    run = tmp_path / "run"
    run.mkdir(mode=0o755)
    run.chmod(0o755)
    (run / "letters").write_text("dear")
    tree = start("one_for_one", RUN_DIR=run)
    assert tree.process.wait(30) == 71
    assert tree.expect("run_dir.open_to_others")
    assert run.stat().st_mode & 0o777 == 0o755


def test_descriptors_are_raised_to_the_hard_limit(start):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        tree = start("one_for_one").up()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for pid in (tree.process.pid, tree.pid("a")):
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (hard, hard)
    tree.stop()


def test_few_descriptors_mean_fewer_children(start):
    tree = start("dynamic", limits={resource.RLIMIT_NOFILE: (268, 268)}).up()
    few = tree.expect("descriptors.few", anywhere=True)
    assert (few.max_children, few.instead_of) == ("3", "4")
    assert [tree.ask(START_CHILD, f"w:{i}") for i in range(4)] == [0, 0, 0, -errno.ENOSPC]
    tree.stop()


def test_far_too_few_descriptors_are_refused(start):
    tree = start("dynamic", limits={resource.RLIMIT_NOFILE: (64, 64)})
    tree.wait(71)
    assert tree.all("descriptors.too_few")


def test_a_server_whose_directory_is_taken_away_ends_with_a_code_that_is_restarted(start):
    tree = start("one_for_one").up()
    for path in tree.run_dir.iterdir():
        path.unlink()
    tree.run_dir.rmdir()
    tree.run_dir.mkdir()
    tree.expect("run_dir.gone")
    tree.wait(71)


def test_the_exit_code_outlives_the_reader_of_the_log(tmp_path):
    process = subprocess.Popen([str(PROGRAM), "one_for_one"], stderr=subprocess.PIPE,
                               env={"RUN_DIR": str(tmp_path / "run"), "BEHAVIOUR_DIR": str(tmp_path)})
    while b"tree.up" not in process.stderr.readline():
        pass
    process.stderr.close()
    process.terminate()
    assert process.wait(30) == 0
