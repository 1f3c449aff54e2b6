"""One module for each command or family of commands: options in, exit code out.

A module is loaded when its command runs. The modules must not import one another, except for commands
that contain another.
"""
