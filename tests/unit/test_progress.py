"""A connector waits when something is to be done, and nothing gets done."""

from rivven_kafka.pipeline.progress import Progress


def test_what_stands_still_is_stuck():
    now = 0.0
    progress = Progress(1_000, lambda: now)
    assert not progress.stuck(True, 0)
    now = 1.0
    assert not progress.stuck(True, 0)
    now = 1.1
    assert progress.stuck(True, 0)
    # Something was done.
    assert not progress.stuck(True, 1)
    now = 2.0
    assert not progress.stuck(True, 1)
    # Nothing waits: standing still is fine, for as long as it takes.
    now = 9.0
    assert not progress.stuck(False, 1)
    now = 9.9
    assert not progress.stuck(True, 1)
    now = 10.1
    assert progress.stuck(True, 1)
