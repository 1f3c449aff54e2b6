"""The systems that are measured, each a subclass of `bench.systems.cluster.Cluster`."""
