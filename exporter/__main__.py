"""``python -m exporter``: the same as the ``restate-medic`` command."""

from exporter.cli import main

if __name__ == "__main__":
    main()
