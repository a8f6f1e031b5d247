"""What became of the records of a scenario, and the table that tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.support.numbered import Place, place_of

MIB = 1024 * 1024
# `tests/faults/test_memory.py` allows the same with the default of `max_in_flight_bytes`.
MOST_RSS = 250 * MIB
COLUMNS = (
    "scenario",
    "direction",
    "guarantee",
    "records",
    "lost",
    "doubled",
    "allowed",
    "out of order",
    "strayed",
    "faults",
    "recovery s (median, longest)",
    "RSS MiB",
    "duration s",
    "seed",
    "verdict",
)


@dataclass
class Differences:
    """How one topic differs from the one that it was copied from.

    Attributes:
        lost: Places of the origin that the copy does not have.
        doubled: Arrivals beyond those in the origin.
        overtaken: Places whose first arrival comes after that of a successor.
        strayed: Places in another partition than their own.
    """

    lost: list[Place] = field(default_factory=list)
    doubled: int = 0
    overtaken: list[Place] = field(default_factory=list)
    strayed: list[Place] = field(default_factory=list)

    @classmethod
    def between(
        cls, origin: Mapping[int, Iterable[bytes]], copy: Mapping[int, Iterable[bytes]]
    ) -> Differences:
        """Compares by partition; what the origin holds twice may arrive twice."""
        found = cls()
        for partition in sorted({*origin, *copy}):
            expected = _times(map(place_of, origin.get(partition, ())))
            arrived: dict[Place, int] = {}
            highest = -1
            for place in map(place_of, copy.get(partition, ())):
                home, sequence = place
                if home != partition:
                    found.strayed.append(place)
                    continue
                if place not in arrived and sequence < highest:
                    found.overtaken.append(place)
                arrived[place] = arrived.get(place, 0) + 1
                highest = max(highest, sequence)
            found.lost += [place for place in expected if place not in arrived]
            found.doubled += sum(max(0, n - expected.get(place, 0)) for place, n in arrived.items())
        return found


def _times(places: Iterable[Place]) -> dict[Place, int]:
    times: dict[Place, int] = {}
    for place in places:
        times[place] = times.get(place, 0) + 1
    return times


@dataclass
class Fault:
    """One fault.

    Attributes:
        kind: What was done.
        begin: When (s, monotonic).
        end: When it was over.
        held: Records under way that it may double.
        before: Records per second before it.
        recovered_after: Seconds from its end to the first whole second with 80 % of `before`; None if another
            fault, or the end, came first.
    """

    kind: str
    begin: float
    end: float
    held: int
    before: float
    recovered_after: float | None = None


@dataclass
class Verdict:
    """The outcome of a scenario.

    Attributes:
        scenario: Its name.
        direction: `source` or `sink`.
        guarantee: `at_least_once` or `exactly_once`; with `, raw` for the format that is not the default.
        seed: What the instants of the faults were drawn from.
        records: Records in the origin.
        differences: What the copy has too much or too little.
        allowed: Doubled records that the guarantee allows.
        faults: What happened.
        rss: Largest resident set of a connector (bytes).
        duration: From the start of the first connector to the end of the last (s).
        troubles: What else went wrong, such as a connector that failed.
    """

    scenario: str
    direction: str
    guarantee: str
    seed: int
    records: int
    differences: Differences
    allowed: int
    faults: Sequence[Fault]
    rss: int
    duration: float
    troubles: Sequence[str] = ()

    @property
    def recoveries(self) -> list[float]:
        """Seconds to the full rate, of the faults after which it was reached."""
        return sorted(each.recovered_after for each in self.faults if each.recovered_after is not None)

    @property
    def problems(self) -> list[str]:
        """What a guarantee does not allow; empty if all is well."""
        found, problems = self.differences, list(self.troubles)
        if found.lost:
            problems.append(f"{len(found.lost)} lost, the first are {found.lost[:10]}")
        if found.doubled > self.allowed:
            problems.append(f"{found.doubled} doubled, {self.allowed} allowed")
        if found.overtaken:
            problems.append(f"{len(found.overtaken)} out of order, the first are {found.overtaken[:10]}")
        if found.strayed:
            problems.append(f"{len(found.strayed)} in the wrong partition: {found.strayed[:10]}")
        if self.rss > MOST_RSS:
            problems.append(f"{self.rss // MIB} MiB of memory, {MOST_RSS // MIB} allowed")
        return problems

    def check(self) -> None:
        """Fails unless all is well."""
        assert not self.problems, f"seed {self.seed}: " + "; ".join(self.problems)

    def story(self) -> str:
        """Each fault in a few words, for those who look for the one that did it."""
        return "; ".join(
            f"{fault.kind} for {fault.end - fault.begin:.1f} s at {fault.before:.0f}/s, again "
            + ("not reached" if fault.recovered_after is None else f"after {fault.recovered_after:.1f} s")
            for fault in self.faults
        )

    def row(self) -> tuple[str, ...]:
        """The cells of its line in the table, as in `COLUMNS`."""
        found, recoveries = self.differences, self.recoveries
        recovery = f"{median(recoveries):.1f}, {recoveries[-1]:.1f}" if recoveries else "-"
        if len(recoveries) < len(self.faults):
            recovery += f" ({len(recoveries)} of {len(self.faults)})"
        return (
            self.scenario,
            self.direction,
            self.guarantee,
            str(self.records),
            str(len(found.lost)),
            str(found.doubled),
            str(self.allowed),
            str(len(found.overtaken)),
            str(len(found.strayed)),
            str(len(self.faults)),
            recovery,
            str(self.rss // MIB),
            f"{self.duration:.0f}",
            str(self.seed),
            "failed" if self.problems else "ok",
        )


def no_verdict(scenario: str, direction: str, guarantee: str, seed: int) -> tuple[str, ...]:
    """The line of a scenario that broke off."""
    return (scenario, direction, guarantee, *["-"] * (len(COLUMNS) - 5), str(seed), "broke off")


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """The table, for a page."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def text(rows: Sequence[Sequence[str]]) -> str:
    """The table, for a terminal."""
    lines = [COLUMNS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
