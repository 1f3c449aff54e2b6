"""Loads by the usual Python clients: decreed's own, kazoo for ZooKeeper, redis-py for Redis."""
