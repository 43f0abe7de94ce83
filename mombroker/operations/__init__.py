"""The native API's operations: requests, responses and problems, typed once for all transports and for the client."""

from mombroker.operations.catalogue import BY_REQUEST, OPERATIONS, Operation
from mombroker.operations.problems import KINDS, Kind, Problem

__all__ = ["BY_REQUEST", "KINDS", "OPERATIONS", "Kind", "Operation", "Problem"]
