"""A child process that cannot outlive us, whatever way we end."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# Reads its pipe until we write to it (stand down) or die (end of file), which the kernel guarantees even for
# a SIGKILL. PR_SET_PDEATHSIG would be shorter but fires when the *thread* that forked ends, and needs a
# preexec_fn, which is unsafe in a process with threads.
_WATCHDOG = """
read -r _ && exit
kill -s KILL -- "-$1"
[ -z "$2" ] || { sleep 0.2; rm -rf -- "$2"; }
"""


class ChildProcess:
    """One program in its own process group, its output appended to a log file.

    Its own group, so that Ctrl+C reaches us alone and we decide in which order things stop.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        orphaned_files: Path | None = None,
    ) -> None:
        """Start ``command``. ``orphaned_files`` is a directory to delete if we die before stopping it."""
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                process_group=0,
            )
        try:
            self._watchdog = subprocess.Popen(
                ["sh", "-c", _WATCHDOG, "watchdog", str(self.pid), str(orphaned_files or "")],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def pause(self) -> None:
        """SIGSTOP, and wait until every thread has stopped: some go on for a moment after the signal."""
        self.signal(signal.SIGSTOP)
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code. Raises subprocess.TimeoutExpired."""
        code = self._process.wait(timeout)
        self._dismiss_watchdog()
        return code

    def kill(self) -> None:
        """SIGKILL, also for a paused process, and reap."""
        self._process.kill()
        self.wait()

    def _dismiss_watchdog(self) -> None:
        # Before the kernel can hand the process id to a stranger that the watchdog would kill.
        pipe = self._watchdog.stdin
        if pipe is not None and not pipe.closed:
            self._watchdog.communicate(b"stand down\n")
