"""`python -m consilo.cli`: the `consilo` command."""

from consilo.cli.main import main

if __name__ == "__main__":
    main()
