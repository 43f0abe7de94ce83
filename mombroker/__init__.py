"""mombroker: an MQTT broker whose acknowledgements mean *on disk*."""

__version__ = "0.1.0"
