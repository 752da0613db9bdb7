"""`bon-eval view`: all runs below a directory as a local page."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import click

from bon_eval.cli.options import PATH
from bon_eval.errors import ConfigError


@click.command()
@click.argument("directory", metavar="[DIR]", type=PATH, default=Path("results"))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8642, show_default=True, help="Of 127.0.0.1; 0 takes a free one."
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
def view(directory: Path, port: int, opens: bool) -> None:
    """Show all runs below a directory [default: results] as a local page that follows them while they go on.

    It prints the address, whose token lets a browser in, and serves it to this machine alone until Ctrl-C. It only
    reads.
    """
    from bon_eval.report.live.server import ViewServer
    from bon_eval.run.console.signals import Stopped

    if not directory.is_dir():
        what = "is no directory" if directory.exists() else "does not exist"
        raise ConfigError(f"{directory} {what}; give a directory with runs below it, as bon-eval run makes in results/")
    root = directory.resolve()
    try:
        next(root.iterdir(), None)
    except OSError as error:
        raise ConfigError(f"{directory} cannot be read: {error.strerror}; give another directory") from error
    with ViewServer(root, port) as server:
        try:
            click.echo(server.address(server.gate.token))
            if sys.stderr.isatty():
                click.echo(f"shows the runs below {directory}, to this machine alone; Ctrl-C stops it", err=True)
            if opens:
                # In a thread: a browser of the terminal would keep it until it is closed.
                threading.Thread(target=_open, args=(server.address(server.gate.ticket()),), daemon=True).start()
            server.serve_forever()
        except KeyboardInterrupt as stop:
            click.echo("stopped", err=True)
            click.get_current_context().exit(stop.exit_code if isinstance(stop, Stopped) else 130)


def _open(address: str) -> None:
    import webbrowser

    if not webbrowser.open(address):
        click.echo("no browser could be opened; open the address above", err=True)
