"""The benchmark of mombroker: it beside the brokers one would take instead, on one machine, in one run.

``python -m bench --help``. What a module is for:

=================  ================================================================
``brokers``        finding, configuring, starting and stopping each broker
``limits``         the two reference programs that do only what no broker can avoid
``load``           the load generator: processes of its own, raw sockets
``scenarios``      what is measured, and on which brokers
``verify``         counts, order, content and duplicates of what was received
``statistics``     medians, ranges, ratios, percentiles
``run``            one run: brokers interleaved, caps on time, marks on bad results
``report``         terminal, JSON, plots, and docs/performance.md
=================  ================================================================
"""
