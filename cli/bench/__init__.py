"""The load test of `decreed bench`: what is done, what is counted, and how it is shown."""
