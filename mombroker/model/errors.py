"""The root of every error this project raises, and the kinds that more than one floor speaks of.

An error's message tells what happened, to which client or key, and what to do about it.
"""


class MombrokerError(Exception):
    """Root of all errors raised by mombroker and its built-in plugins and stores."""


class ConfigurationError(MombrokerError):
    """A setting is unknown, malformed or unsafe; the message names the key, where it stands and a remedy."""


class PluginError(MombrokerError):
    """A plugin could not be found, loaded or configured; the message names the plugin."""


class StoreError(MombrokerError):
    """The store failed in a way that leaves the durability of a unit unknown.

    Fatal to a broker: it stops acknowledging and exits, since it can no longer tell what is on disk.
    """


class StoreFull(StoreError):
    """No room on the disk (or within the configured map limit) for a unit; nothing of the unit was kept.

    Not fatal: publishes are refused until a later commit succeeds.
    """


class StoreLocked(StoreError):
    """Another process owns the data directory; the message says which."""


class StoreFormat(StoreError):
    """The data directory was written by a format version this release cannot read or migrate."""


class StoreFenced(StoreError):
    """A newer owner has opened the store: this one's epoch is over, and it must not write any more."""
