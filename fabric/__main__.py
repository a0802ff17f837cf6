"""`python -m fabric`: see `fabric.cli`."""

from fabric.cli import main

if __name__ == "__main__":
    main()
