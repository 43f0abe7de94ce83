"""A script: fills the store at argv[1] under a file size limit, then lifts the limit; argv[2] turns extending off."""

import os
import resource
import sys

from store_driver import HEAD, Place, message

from mombroker.model.errors import StoreFull
from mombroker_storage import LmdbStore


def main() -> None:
    if sys.argv[2] == "write":
        del os.posix_fallocate
    place = Place(LmdbStore, sys.argv[1])
    place.append(1, range(100))
    limit = os.stat(os.path.join(sys.argv[1], "data.mdb")).st_size + (3 << 20)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    position = 100
    refusal = None
    while refusal is None and position < 100_000:
        try:
            append(place, position)
            position += 100
        except StoreFull as error:
            refusal = error
    print("refused:", refusal)
    place.settle(1, range(50))
    print("still there:", place.positions(1) == list(range(50, position)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    append(place, position)
    place.reopen()
    print("healed:", place.positions(1) == list(range(50, position + 100)))
    place.close()


def append(place: Place, first: int) -> None:
    unit = place.unit()
    for position in range(first, first + 100):
        unit.append(1, position, HEAD, message(bytes(1000)))
    place.commit(unit)


if __name__ == "__main__":
    main()
