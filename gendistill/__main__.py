"""``python -m gendistill``."""

from gendistill.cli import main

if __name__ == "__main__":
    main()
