"""decreed: a distributed write-once registry. `connect` is the way in; see README.md."""

__version__ = "0.1.0"
