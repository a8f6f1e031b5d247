"""The one error type of the crate and the exception classes: the same names, the same `retriable`."""

import inspect
import re
from pathlib import Path

import pytest
from rivven_kafka import errors

SOURCE = (Path(__file__).parents[3] / "ext/src/error.rs").read_text()
KINDS = dict(re.findall(r"Kind::(\w+) => \"(\w+)\"", SOURCE))
RETRIABLE = set(re.findall(r"Kind::(\w+)", SOURCE.split("fn retriable")[1].split("}")[0]))
DECLARED = re.findall(r"^    (\w+),$", SOURCE.split("pub enum Kind {")[1].split("}")[0], re.MULTILINE)


def test_every_kind_is_mapped():
    assert sorted(KINDS) == sorted(DECLARED)
    assert len(DECLARED) > 20
    assert len(set(KINDS.values())) == len(KINDS)


@pytest.mark.parametrize("kind", DECLARED)
def test_a_kind_has_a_class_that_agrees(kind):
    error_class = getattr(errors, KINDS[kind])
    assert issubclass(error_class, errors.RivvenKafkaError)
    assert error_class.retriable is (kind in RETRIABLE)


def test_every_class_that_is_raised_natively_has_a_kind():
    classes = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.RivvenKafkaError)
    }
    bases, raised_in_python = {"RivvenKafkaError", "CodecError"}, {"StalledError"}
    assert classes - set(KINDS.values()) == bases | raised_in_python


def test_an_error_says_where():
    error = errors.BrokerError("no", code="X", topic="t", partition=3, offset=9)
    assert str(error) == "no [t:3@9]"
    assert str(errors.BrokerError("no", topic="t")) == "no [t]"
    assert str(errors.BrokerError("no")) == "no"
    assert (error.code, error.topic, error.partition, error.offset) == ("X", "t", 3, 9)
