"""How the command speaks with a terminal, a pipe and the kernel: output, failures, logs, signals.

Text from elsewhere passes through `shown` before a terminal sees it. This room knows no command and no
cluster.
"""
