"""``python -m fastconv info`` and ``python -m fastconv demo``."""

from __future__ import annotations

import argparse
import sys

import fastconv

_USAGE_ERROR = 2  # as argparse exits


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    if options.command == "info":
        fastconv.show_config()
        return 0
    return _demo(options.photo, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fastconv", description=fastconv.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="print version, instruction sets, threads and build flags")
    demo = commands.add_parser(
        "demo", help="run all four operators on a photograph, check and time them, draw a figure"
    )
    demo.add_argument(
        "photo", metavar="PHOTO", nargs="?", help="a picture (default: one that scikit-image brings along)"
    )
    demo.add_argument("-o", "--output", metavar="OUT.png", default="fastconv-demo.png", help="default: %(default)s")
    return parser


def _demo(photo: str | None, output: str) -> int:
    # The demo alone needs more than NumPy, so nothing of it is imported before it is asked for.
    try:
        from fastconv import demo

        return demo.run(photo, output)
    except ModuleNotFoundError as error:
        return _refuse(f'{error.name} is not installed; the demo needs: pip install "fastconv[demo]"')
    except demo.UsageError as error:
        return _refuse(str(error))


def _refuse(reason: str) -> int:
    print(f"fastconv demo: {reason}", file=sys.stderr)
    return _USAGE_ERROR


if __name__ == "__main__":
    sys.exit(main())
