"""Where a recorded broker has its data, relative to the recorded directory: below directories that it makes itself."""

DATA = "var/lib/mombroker"
DATA_FILE = f"{DATA}/data.mdb"
MAP_SIZE = 1 << 20
