"""``python -m decreed`` is the command ``decreed``."""

from .cli.early import main

if __name__ == "__main__":
    main()
