"""The tables of docs/security.md about logins say what the tests of logins do, no more and no less."""

import re
from pathlib import Path

from tests.integration.test_logins import BAD, CLIENTS, GOOD

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text()


def rows(head):
    """The rows of the table with that head."""
    lines = PAGE[PAGE.index(head) :].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]


def told():
    """What the page says of each login, by the name of its test."""
    head = "| login | `SASL_PLAINTEXT` | `SASL_SSL` |"
    by_password = {
        f"{protocol} {login}": outcome
        for login, *outcomes in rows(head)
        for protocol, outcome in zip(("SASL_PLAINTEXT", "SASL_SSL"), outcomes, strict=True)
    }
    return by_password | dict(rows("| without a login, or at another listener | outcome |"))


def test_the_matrix_of_logins_is_that_of_the_tests():
    tried = {name: "let in" for name, *_ in GOOD} | {name: "refused" for name, *_ in BAD}
    assert len(tried) == len(GOOD) + len(BAD)
    assert told() == tried


def test_the_clients_are_those_of_the_tests():
    clients = re.search(r"tested against a real broker .* for ([a-z ,]+) alike", PAGE.replace("\n", " "))
    assert clients[1] == "consumer, producer and admin client"
    assert list(CLIENTS) == ["consumer", "producer", "admin"]
