"""A wall clock that a test sets: a library put before the C library of a process."""

from __future__ import annotations

import mmap
import struct
import subprocess
import sysconfig
from pathlib import Path

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile int64_t *shift;
static int (*real_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int file = open(getenv("WALL_CLOCK"), O_RDONLY);
    shift = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    if (shift == MAP_FAILED) abort();
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (real_gettime == NULL) begin();
    int result = real_gettime(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *shift;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0) return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result != NULL) *result = now.tv_sec;
    return now.tv_sec;
}
"""


class WallClock:
    """The wall clock of processes that get `env`; clocks that only count are left alone.

    Args:
        directory: For the library, which is compiled there, and the file that holds the shift.
    """

    def __init__(self, directory: Path) -> None:
        source, library, shift = (directory / f"wall_clock.{end}" for end in ("c", "so", "shift"))
        source.write_text(_SOURCE)
        compiler = (sysconfig.get_config_var("CC") or "cc").split()
        if subprocess.run([compiler[0], "--version"], capture_output=True, check=False).returncode != 0:
            compiler = ["cc"]
        subprocess.run(
            [*compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True
        )
        shift.write_bytes(bytes(8))
        with shift.open("r+b") as file:
            self._shift = mmap.mmap(file.fileno(), 8)
        self.env = {"LD_PRELOAD": str(library), "WALL_CLOCK": str(shift)}
        """Environment variables for the processes."""

    def step(self, seconds: int) -> None:
        """Sets the clock this much beside the right time, at once, for those that run too."""
        self._shift[:] = struct.pack("=q", seconds)
