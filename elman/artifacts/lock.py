"""One writer for each run: a lock that the operating system takes back when its holder dies.

The lock is on the file `.NAME.lock` beside the run folder, so that it is there before the folder
is, stays when `--force` replaces the folder, and is not copied with it. The system ties it to the
open file and not to what the file says: after `kill -9` the next writer just gets it. Who only
reads a run needs no lock, since every file of a run is replaced as a whole.

Over NFS the server's lock manager has to take part. Where a file system has no locks, or the place
beside the folder can't be written, a warning says so and work goes on without a lock.
"""

import json
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from elman.errors import RunError

_MOST = 1000  # bytes of a lock file that are read


class RunInUse(RunError):
    """Somebody else writes to the run: another process, or another part of this one."""


@contextmanager
def locked(run: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the lock of a run folder, which need not exist yet.

    Raises:
        RunInUse: somebody holds it; the message says who, and since when.
    """
    path = _lock_file(run)
    try:
        file = _take(path)
    except OSError as error:
        file = None
        if os.path.exists(run):  # where it can't be made, its maker says so
            warnings.warn(
                f"{run} can't be locked ({error.strerror}); make sure that nothing else trains it",
                stacklevel=3,
            )
    else:
        if file is None:
            raise RunInUse(
                f"{run} is being written by {holder(run) or 'another process'}; wait until that "
                f"ends, stop it (a training that is stopped can be resumed), or use another folder"
            )
    try:
        yield
    finally:
        if file is not None:
            _give_back(path, file)


def holder(run: str | os.PathLike[str]) -> str | None:
    """Who writes to a run, in words; None if nobody does."""
    try:
        file = os.open(_lock_file(run), os.O_RDWR)
    except OSError:
        return None
    try:
        return None if _lock(file) else _told(file)
    except OSError:
        return None
    finally:
        os.close(file)


def _lock_file(run: str | os.PathLike[str]) -> Path:
    resolved = Path(run).resolve()  # a link to the folder is the folder
    return resolved.parent / f".{resolved.name}.lock"


def _take(path: Path) -> int | None:
    """The open file that holds the lock; None if somebody else has it.

    Raises:
        OSError: there is no lock to be had here.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _lock(file):
                os.close(file)
                return None
            if _is_at(path, file):
                _sign(file)
                return file
        except OSError:
            os.close(file)
            raise
        os.close(file)  # its last holder removed it after we had opened it


def _give_back(path: Path, file: int) -> None:
    """Remove the file while nobody else can hold it, then let go. (Windows removes no open file:
    there an empty one stays behind.)"""
    if sys.platform != "win32":
        with suppress(OSError):
            path.unlink()
    os.close(file)


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


def _sign(file: int) -> None:
    """Write down who holds the lock. On a full disk the lock holds all the same."""
    owner = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().isoformat(" ", "seconds"),
    }
    with suppress(OSError):
        os.ftruncate(file, 0)
        os.write(file, json.dumps(owner).encode("ascii"))


def _told(file: int) -> str:
    """Who holds the lock, as far as the file says it."""
    try:
        owner = json.loads(os.read(file, _MOST))
        pid, host, since = (owner[name] for name in ("pid", "host", "since"))
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"
    return f"process {pid} on {host}, since {since}"


if sys.platform == "win32":
    import msvcrt

    _BEYOND = 1 << 20  # the byte that is locked: what is locked can't be read by others

    def _lock(file: int) -> bool:
        os.lseek(file, _BEYOND, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            os.lseek(file, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _lock(file: int) -> bool:
        """Take the lock of an open file; False if another open file has it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
