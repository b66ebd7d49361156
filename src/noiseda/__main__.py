"""The command line as a process: ``noiseda`` and ``python -m noiseda``."""

import sys


def main() -> int:
    """Run the command line; Ctrl-C is heeded from the first moment on.

    Returns:
        The exit status: see :func:`noiseda.cli.main`.
    """
    try:
        from noiseda import cli

        return cli.main()
    except KeyboardInterrupt:  # while it was still being imported
        print("stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
