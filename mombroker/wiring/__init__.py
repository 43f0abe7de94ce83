"""Floor 4: settings, the plugin host, the log: what turns the parts into a broker."""
