"""The load generator: its own processes, raw sockets, packets encoded in advance, whole-buffer reads.

It speaks MQTT 3.1.1, which every broker here does, and never to anything but 127.0.0.1.
"""
