"""`drakit eks-token`: the credential plugin of a kubeconfig for EKS. Not for people, so not in the help."""

import os
from typing import Annotated

import typer

from drakit.errors import DrakitError

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def eks_token(
    cluster: Annotated[str, typer.Option("--cluster", metavar="NAME", help="Name of the EKS cluster.")],
    region: Annotated[str, typer.Option("--region", metavar="REGION", help="Its AWS region.")],
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="PROFILE", help="Profile of the AWS configuration.")
    ] = None,
) -> None:
    """Print a token for an EKS cluster, as kubectl and Helm take it from a credential plugin.

    Example: drakit eks-token --cluster jark --region us-west-2
    """
    from drakit.aws.token import eks_token, exec_credential

    if profile is None and os.environ.get("AWS_ACCESS_KEY_ID"):
        # Keys go before a profile that the environment names as well, and which need not exist.
        os.environ.pop("AWS_PROFILE", None)
    try:
        credential = exec_credential(eks_token(cluster, region, profile), os.environ.get("KUBERNETES_EXEC_INFO"))
    except DrakitError as error:
        from drakit.cli.execute import Output, finish

        return finish("eks-token", None, error, output=Output.TEXT)
    typer.echo(credential)
    return None
