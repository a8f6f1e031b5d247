"""The process keeps little of what it has freed."""

import os
import subprocess
import sys

# Each thread frees what another one has taken: without a limit, every thread would have a pool of its own.
COUNT = """
import ctypes, re, sys, tempfile, threading
from rivven_kafka.runtime import keep_less_memory
keep_less_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(8)
def work():
    together.wait()
    libc.malloc(1000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.fopen.restype = ctypes.c_void_p
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(len(re.findall(b"<heap ", file.read())))
"""


def pools(**env):
    done = subprocess.run(
        [sys.executable, "-c", COUNT], env={**os.environ, **env}, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_all_threads_share_two_pools():
    assert pools() == 2


def test_the_environment_may_ask_for_more():
    assert pools(MALLOC_ARENA_MAX="5") == 5
