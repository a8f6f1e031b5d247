"""A signal may come at any moment, and never keeps the process from stopping."""

import subprocess
import sys
import textwrap

TIMEOUT_S = 60
ABORTED = 130


def run(script):
    """Runs a script in a process of its own, as a deadlock of its main thread cannot be ended otherwise."""
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(command, timeout=TIMEOUT_S, capture_output=True, text=True)


def test_a_signal_may_interrupt_whoever_holds_the_lock_of_the_event():
    result = run("""
        import os, signal, threading
        from rivven_kafka.runtime.signals import stop_on_signals

        lock = threading.Lock()

        class Stop(threading.Event):
            def set(self):
                with lock:
                    super().set()

        stop = Stop()
        with stop_on_signals(stop):
            with lock:
                os.kill(os.getpid(), signal.SIGTERM)
            assert stop.wait(30)
        print("stopped")
    """)
    assert (result.returncode, result.stdout) == (0, "stopped\n"), result.stderr


def test_the_first_signal_is_answered_in_the_log():
    result = run("""
        import logging, os, signal, threading
        from rivven_kafka.runtime.signals import stop_on_signals

        logging.basicConfig(level=logging.INFO, format="%(message)s")
        stop = threading.Event()
        with stop_on_signals(stop):
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.wait(30)
        with stop_on_signals(threading.Event()):
            pass
    """)
    assert result.returncode == 0
    assert result.stderr == "told to stop: ends what is under way; another signal aborts\n"


def test_signals_at_any_moment_of_the_wait():
    result = run("""
        import os, signal, threading
        from rivven_kafka.runtime.signals import stop_on_signals

        for _ in range(300):
            stop = threading.Event()
            with stop_on_signals(stop):
                threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()
                while not stop.wait(1e-6):
                    pass
        print("stopped")
    """)
    assert (result.returncode, result.stdout) == (0, "stopped\n"), result.stderr


def test_the_second_signal_aborts_even_if_nobody_could_be_told_of_the_first():
    result = run("""
        import os, signal, threading
        from rivven_kafka.runtime.signals import stop_on_signals

        class Deaf(threading.Event):
            def set(self):
                threading.Event().wait()

        with stop_on_signals(Deaf()):
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
        print("not aborted")
    """)
    assert (result.returncode, result.stdout) == (ABORTED, ""), result.stderr


def test_a_stop_that_is_no_signal_does_not_make_the_first_one_an_abort():
    result = run("""
        import os, signal, threading
        from rivven_kafka.runtime.signals import stop_on_signals

        stop = threading.Event()
        stop.set()
        with stop_on_signals(stop):
            os.kill(os.getpid(), signal.SIGTERM)
        print("stopped")
    """)
    assert (result.returncode, result.stdout) == (0, "stopped\n"), result.stderr
