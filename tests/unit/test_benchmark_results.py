"""What is kept of a benchmark run: nothing of a quick one, and of the others only what was measured again."""

import math

import pytest

from benches import results
from benches.keeper import Keeper
from benches.machine import describe_run
from benches.plots import draw
from benches.report import Comparison, keeping, show
from benches.table import tables

RUN = {
    "date": "2026-01-02T03:04:05+00:00",
    "commit": "0123456789abcdef",
    "machine": {"processor": "P", "cores": 2, "memory_gib": 4.0, "system": "S"},
    "versions": {"Python": "3.11"},
}
LATER = {**RUN, "date": "2026-02-02T03:04:05+00:00"}


@pytest.fixture
def folder(tmp_path):
    benches = tmp_path / "benches"
    benches.mkdir()
    for name in ("test_a.py", "test_b.py"):
        (benches / name).touch()
    return benches


def compare(title="copy", ours=300.0, group="source"):
    show(group, title, [("theirs", [99, 100, 101]), ("ours", [ours])], at_least={("ours", "theirs"): 2})


def measure(folder, test, *titles, arguments=(), collected=(), save=True):
    keeper = Keeper(folder, arguments, save=save, describe=lambda: RUN)
    keeper.collected.update({test, *collected})
    with keeper.during(test):
        for title in titles:
            compare(title)
    return keeper


def kept(folder):
    path = folder / "results.json"
    return [(each["test"], each["title"]) for each in results.load(path)["comparisons"]]


def test_a_comparison_is_kept_with_its_run(folder):
    measure(folder, "benches/test_a.py::test_x", "copy")
    written = results.load(folder / "results.json")
    [entry] = written["comparisons"]
    assert written["runs"] == {entry["run"]: RUN}
    assert entry["candidates"][1] == {"name": "ours", "median": 300.0, "ratio": 3.0, "samples": [300.0]}
    assert entry["targets"] == [
        {"candidate": "ours", "against": "theirs", "at_least": 2, "measured": 3.0, "met": True}
    ]


def test_a_run_says_where_it_measured():
    run = describe_run()
    assert run["machine"]["cores"] > 0
    assert {"Python", "Apache Kafka", "rivvend", "kafka-python"} <= run["versions"].keys()


def test_a_run_of_one_benchmark_leaves_the_others(folder):
    measure(folder, "benches/test_a.py::test_x", "copy", "copy back")
    measure(folder, "benches/test_b.py::test_y", "read")
    measure(folder, "benches/test_a.py::test_x", "copy")
    assert kept(folder) == [("benches/test_a.py::test_x", "copy"), ("benches/test_b.py::test_y", "read")]


@pytest.mark.parametrize(
    ("arguments", "remains"), [(["benches/test_a.py"], False), (["benches/test_a.py::test_new"], True)]
)
def test_what_a_renamed_benchmark_showed_is_dropped(folder, arguments, remains):
    measure(folder, "benches/test_a.py::test_old", "old")
    measure(folder, "benches/test_a.py::test_new", "new", arguments=arguments)
    assert (("benches/test_a.py::test_old", "old") in kept(folder)) is remains


def test_what_a_deleted_file_showed_is_dropped(folder):
    measure(folder, "benches/test_b.py::test_y", "read")
    (folder / "test_b.py").unlink()
    measure(folder, "benches/test_a.py::test_x", "copy")
    assert kept(folder) == [("benches/test_a.py::test_x", "copy")]


def test_a_deselected_benchmark_is_not_dropped(folder):
    measure(folder, "benches/test_a.py::test_y", "read")
    measure(folder, "benches/test_a.py::test_x", "copy", collected=["benches/test_a.py::test_y"])
    assert len(kept(folder)) == 2


def test_a_run_that_nothing_is_left_of_is_forgotten():
    found = [("benches/test_a.py::test_x", comparison())]
    first = results.merge({"runs": {}, "comparisons": []}, RUN, found)
    assert list(results.merge(first, LATER, found)["runs"]) == [LATER["date"]]


def test_a_quick_run_writes_nothing_and_judges_nothing(folder):
    keeper = measure(folder, "benches/test_a.py::test_x", "copy", save=False)
    keeper.draw()
    assert sorted(path.name for path in folder.iterdir()) == ["test_a.py", "test_b.py"]
    [line] = keeper.summary()
    assert "1 targets were not judged" in line


def test_the_summary_ends_with_what_was_missed(folder):
    keeper = Keeper(folder, [], save=True, describe=lambda: RUN)
    with keeper.during("benches/test_a.py::test_x"):
        compare("slow", ours=150.0)
        compare("fast", ours=300.0)
    *_, fast, slow, counted = keeper.summary()
    assert fast == "met    ours / theirs: 3.000, at least 2 wanted  (source: fast)"
    assert slow == "MISSED ours / theirs: 1.500, at least 2 wanted  (source: slow)"
    assert counted == "1 of 2 targets met"


def comparison(group="source", base=100.0):
    found: list[Comparison] = []
    with keeping(found.append):
        show(
            group,
            "copy | 4 $ & <partitions>",
            [("theirs", [base]), ("ours", [300.0, 310.0])],
            at_most={("ours", "theirs"): 4},
        )
    return found[0]


def test_nothing_to_compare_with_is_no_number_and_survives_the_file(tmp_path):
    none = comparison(base=0.0)
    assert math.isinf(none.candidates[1].ratio)
    path = tmp_path / "results.json"
    results.save(results.merge({"runs": {}, "comparisons": []}, RUN, [("t", none)]), path)
    [read] = results.comparisons(results.load(path))
    assert read.candidates[1].ratio == math.inf
    assert not read.targets[0].met


def test_the_same_figures_give_the_same_plot(folder):
    plots = folder / "plots"
    plots.mkdir()
    (plots / "no-more.svg").touch()
    [path] = draw([comparison()], plots)
    first = path.read_bytes()
    draw([comparison()], plots)
    assert path.read_bytes() == first
    assert b"copy | 4 $ &amp; &lt;partitions&gt;" in first
    assert [each.name for each in plots.iterdir()] == ["source.svg"]


def test_tables_are_markdown(tmp_path):
    written = results.merge({"runs": {}, "comparisons": []}, RUN, [("t", comparison())])
    text = tables(written)
    assert "* 2026-01-02T03:04:05+00:00, commit 0123456789: P, 2 cores, 4.0 GiB, S; Python 3.11" in text
    assert "| source | copy \\| 4 $ & <partitions> | ours / theirs | 3.05 | at most 4 | met |" in text
    assert "| ours | 305 | 3.05 | 300 .. 310 |" in text
    assert "source" not in tables(written, ["sink"])
