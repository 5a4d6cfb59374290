"""One writer for each run, whatever ends it; any number of readers."""

import errno
import os
import subprocess
import sys
import threading
import time

import pytest

import elman
from elman.artifacts import lock
from elman.artifacts.lock import RunInUse, holder, locked
from elman.artifacts.run_folder import next_free, place_for
from elman.errors import RunError
from elman.train.listener import Listener

HOLD = "import sys, time; from elman.artifacts.lock import locked\n"
HOLD += "with locked(sys.argv[1]): print('held', flush=True); time.sleep(60)"


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of `run`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "held\n"
        yield child
        child.kill()


def test_a_lock_is_taken_once_and_leaves_nothing(tmp_path):
    run = tmp_path / "run"
    assert holder(run) is None
    with locked(run):
        assert holder(run) == holder(tmp_path / "." / "run")
        with pytest.raises(RunInUse, match=rf"run is being written by process {os.getpid()} on"):
            locked(run).__enter__()
        with locked(tmp_path / "another"):
            pass
    assert holder(run) is None
    assert list(tmp_path.iterdir()) == []
    with locked(run):
        pass


def test_a_killed_process_holds_nothing(tmp_path, other):
    run = tmp_path / "run"
    with pytest.raises(RunInUse, match=rf"process {other.pid} on .*, since 20.*wait.*stop it"):
        locked(run).__enter__()
    other.kill()
    other.wait()
    assert (tmp_path / ".run.lock").exists()
    assert holder(run) is None
    with locked(run):
        assert str(os.getpid()) in holder(run)


def test_many_threads_take_turns(tmp_path):
    """The file is removed and made again all the time: no two may hold it at once."""
    inside, most, turns = [], [], []

    def take_turns():
        while len(turns) < 200:
            try:
                with locked(tmp_path / "run"):
                    inside.append(1)
                    most.append(len(inside))
                    time.sleep(1e-5)
                    inside.pop()
                    turns.append(1)
            except RunInUse:
                pass

    threads = [threading.Thread(target=take_turns) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}


def test_what_a_lock_file_says_is_not_trusted(tmp_path, other):
    for content in (b"", b"[1]", b"{}", b"\xff\xfe", b'{"pid": 1}', b"x" * 5000):
        (tmp_path / ".run.lock").write_bytes(content)
        assert holder(tmp_path / "run") == "another process"
        with pytest.raises(RunInUse, match="written by another process"):
            locked(tmp_path / "run").__enter__()


def test_without_locks_a_warning(tmp_path, monkeypatch):
    def refuses(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", refuses)
    (tmp_path / "run").mkdir()
    with pytest.warns(UserWarning, match="can't be locked .No locks available"):
        locked(tmp_path / "run").__enter__()
    assert holder(tmp_path / "run") is None


def test_numbers_that_are_being_made_are_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with place_for("language", None) as first, place_for("language", None) as second:
        assert (first.name, second.name) == ("language-001", "language-002")
        assert next_free("language").name == "language-003"
    with place_for("language", None) as third:
        assert third.name == "language-001"
        third.mkdir()
    with place_for("language", None) as fourth:
        assert fourth.name == "language-002"


class Meddles(Listener):
    """Does something when training has evaluated for the first time."""

    def __init__(self, what):
        self.what, self.found = what, []

    def evaluated(self, record):
        if not self.found:
            self.found.append(self.what())


SMALL = {"hidden_size": 8, "batch_size": 4, "sequence_length": 16, "evaluate_every": 10}


def raised(function, *arguments, **settings):
    with pytest.raises(RunInUse) as found:
        function(*arguments, **settings)
    return str(found.value)


def test_a_run_in_training_has_one_writer_and_can_be_read(tmp_path, text_file):
    run = tmp_path / "run"

    def meddle():
        again = {**SMALL, "steps": 5}
        return (
            raised(elman.fit, "language", text_file, run, **again),
            raised(elman.fit, "language", text_file, run, force=True, **again),
            raised(elman.resume, run, steps=99),
            elman.load(run).evaluate().carried.tokens,
        )

    listener = Meddles(meddle)
    elman.fit("language", text_file, run, listener=listener, **SMALL, steps=20)
    *said, tokens = listener.found[0]
    assert all(f"by process {os.getpid()}" in text for text in said)
    assert tokens > 0
    assert elman.load(run).evaluate().carried.tokens == tokens
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_no_model_yet_says_who_trains(tmp_path, text_file):
    run = tmp_path / "run"

    class Looks(Listener):
        def stepped(self, progress, loss):
            if progress.step == 1:
                with pytest.raises(RunError) as found:
                    elman.load(run)
                self.said = str(found.value)

    listener = Looks()
    elman.fit("language", text_file, run, listener=listener, **SMALL, steps=5)
    assert f"it is being trained by process {os.getpid()}" in listener.said


def test_a_run_that_is_replaced_while_it_is_read(tmp_path, text_file):
    from elman.artifacts.load import read_run
    from elman.tasks.setup import Setup

    run = tmp_path / "run"
    elman.fit("language", text_file, run, **SMALL, steps=3)
    saved = read_run(run)
    assert saved.trained(Setup.of(saved.cell)) is not None
    elman.fit("language", text_file, run, force=True, **SMALL, steps=3)
    with pytest.raises(RunError, match="replaced by another run"):
        saved.trained(Setup.of(saved.cell))
