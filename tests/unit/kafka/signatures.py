"""What functions of kafka-python take."""

import inspect


def parameters(function):
    return list(inspect.signature(function).parameters)
