"""The systems that are measured, each behind `bench.systems.cluster.Cluster`."""
