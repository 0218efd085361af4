"""`drakit kubeconfig`."""

import typer

from drakit.cli.execute import FileOption, Output, OutputOption, RehearseOption, execute

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def kubeconfig(file: FileOption = None, rehearse: RehearseOption = False, output: OutputOption = Output.TEXT) -> None:
    """Print the path of the kubeconfig of the stack's cluster.

    Example: kubectl --kubeconfig "$(drakit kubeconfig)" get resourceslices
    """
    from drakit.commands.session import Session, not_up
    from drakit.results import TextResult

    def work(session: Session) -> TextResult:
        path = session.workspace.kubeconfig
        if not path.exists():
            raise not_up(session.stack)
        return TextResult(name="kubeconfig", text=str(path), value={"kubeconfig": path})

    execute("kubeconfig", work, file=file, rehearse=rehearse, output=output)
