"""The benchmark suite: decreed and its peers in one run, on one machine."""
