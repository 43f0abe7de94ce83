"""Named queues and services: the one queue engine, with leases, priorities, delays and dead letters on top.

``registry`` is the way in. A named queue (``queue``) keeps its messages in *lanes*, each of which is an ordinary
queue of the engine: one for each priority, and one for each stretch of time that delayed messages wait for
(``wheel``).
"""
