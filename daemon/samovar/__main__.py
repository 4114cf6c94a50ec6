"""`python -m samovar` is the program `samovar`."""

from samovar.cli import main

if __name__ == "__main__":
    main()
