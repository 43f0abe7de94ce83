"""The load generator of the benchmark is not installed either: it is loaded as its own tests load it."""

from tests.bench import conftest as _bench

assert _bench.ROOT
