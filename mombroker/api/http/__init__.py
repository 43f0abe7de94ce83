"""The native API over HTTP: REST resources with JSON, problem+json errors, Server-Sent Events, and an OpenAPI document.

``routes`` is the table of what there is; ``server`` listens. Nothing here is imported while HTTP is off.
"""
