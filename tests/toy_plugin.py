"""Components of a plugin `legal` 0.1.0 whose methods do what a test says."""

import numpy as np

import rexplug


def toy(base, **members):
    """A component of the plugin `legal` with these methods and properties; its other abstract methods must not be called."""
    unused = dict.fromkeys(base.__abstractmethods__, raising(AssertionError("not part of the test")))
    return type("Toy", (base,), {"__module__": __name__, "name": "legal.toy", **unused, **members})()


def raising(error):
    """A method that raises an error."""

    def behaviour(self, *arguments):
        raise error

    return behaviour


def yielding(*values, error=None):
    """A method that yields values and then raises an error, if there is one."""

    def behaviour(self, *arguments):
        yield from values
        if error is not None:
            raise error

    return behaviour


def returning(value):
    """A method that returns a value."""
    return lambda self, *arguments: value


DOCUMENTS = [rexplug.Document(f"op-{number}", "text") for number in range(3)]
TOKENS = rexplug.TokenizedDocument(
    "op-1", "a b", np.zeros(2, np.uint32), np.array([[0, 1], [2, 3]], np.uint32), np.ones(2, np.bool_)
)
ROW = rexplug.TokenBatch(np.zeros(4, np.int64), np.array([0, 4]), np.ones(4, np.bool_), {})
