"""``python -m evop``."""

from evop.cli import main

if __name__ == "__main__":
    main()
