"""The benchmark suite: decreed next to etcd, ZooKeeper, Redis and PySyncObj, in one run on one machine."""
