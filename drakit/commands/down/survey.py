"""What `down` is about to do: what goes, what is kept, what it saves. Read before anything is changed."""

import asyncio
import dataclasses
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from drakit.commands import provision
from drakit.commands.down.cluster import is_retained, listed, load_balancers, volume_claims, volumes
from drakit.commands.down.state import Known, look_up
from drakit.commands.session import Session
from drakit.engine.workspace import Workspace
from drakit.errors import DrakitError
from drakit.helm import InstalledRelease
from drakit.kube.client import Kube
from drakit.kube.kinds import POD
from drakit.targets.base import Standing
from drakit.targets.releases import known_releases
from drakit.tools import HELM, find
from drakit.words import counted

if TYPE_CHECKING:
    from drakit.aws.leftovers import Keep

ANSWER_SECONDS = 20.0
"""How long the cluster has to say what is in it; `down` goes on without."""
SYSTEM = ("kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True)
class Contents:
    """What is in a cluster. `pods`: how many, by namespace; `retained`: PersistentVolumes that say so."""

    pods: Mapping[str, int] = field(default_factory=dict)
    load_balancers: tuple[str, ...] = ()
    volume_claims: tuple[str, ...] = ()
    retained: tuple[str, ...] = ()
    releases: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """What there is of a stack. `silent`: why the cluster did not say what is in it."""

    standing: Standing
    known: Known
    contents: Contents | None = None
    silent: str = ""

    @property
    def anything(self) -> bool:
        """Whether anything is to be removed from the place."""
        return bool(self.standing.anything or self.known.kinds or self.known.trouble)

    @property
    def by_tags(self) -> bool:
        """Whether only its tags say that what is there is this stack's: Terraform's state does not."""
        owners = self.standing.owners
        if owners is None or not (self.standing.anything or self.known.there):
            return False
        return bool(self.known.trouble or not self.known.knows(owners))


async def survey_of(session: Session, keep: "Keep") -> Survey:
    """Read what there is; a cluster that does not answer is no error.

    Raises:
        ClusterError: the place cannot be asked.
        PreflightError: what is in Terraform's state is in another place.
        DrakitError: Terraform's state cannot be had now.
    """
    standing, known = await asyncio.gather(session.target.standing(session.workspace, keep), look_up(session))
    await session.target.require_here(known.arns)
    if not standing.cluster:
        return Survey(standing, known)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return Survey(standing, known, await _contents(session))
    except TimeoutError:
        return Survey(standing, known, silent=f"it did not answer within {ANSWER_SECONDS:.0f} s")
    except DrakitError as error:
        return Survey(standing, known, silent=error.message.partition("\n")[0])


@dataclass(frozen=True)
class Question:
    """What the person at the terminal is shown, and what is to be typed to go on."""

    text: str
    answer: str
    by_tags: bool


async def question(session: Session, keep: "Keep") -> Question | None:
    """What has to be agreed to; None where there is nothing to lose.

    Raises:
        DrakitError: see `survey_of`.
    """
    survey = await survey_of(session, keep)
    if not survey.anything:
        return None
    # Where only tags tell whose it is, the account is the word that a hurried hand does not have ready.
    answer = f"{session.stack.name} {survey.standing.where}" if survey.by_tags else session.stack.name
    return Question("\n".join(what_goes(session, survey)), answer, survey.by_tags)


def what_goes(session: Session, survey: Survey) -> list[str]:
    """The survey in lines."""
    standing, contents = survey.standing, survey.contents
    lines = [f"`drakit down` deletes the stack {session.stack.name} in {standing.where}, with everything in it:"]
    if contents:
        lines += _rows(
            ("workloads", _pods(contents.pods)),
            ("Helm releases", ", ".join(contents.releases)),
            ("not drakit's", ", ".join(contents.foreign)),
            ("load balancers of", listed(contents.load_balancers)),
            ("volumes of", listed(contents.volume_claims)),
            ("although retained", listed(contents.retained)),
        )
    elif survey.silent:
        lines += _rows(("in the cluster", f"not known: {survey.silent}"))
    lines += _rows(
        ("nodes", ", ".join(f"{name} {count}" for name, count in standing.nodes.items() if count)),
        ("on AWS" if standing.owners is not None else "here", _kinds(survey)),
    )
    if survey.by_tags:
        lines += [f"  {each.kind} {each.id}" for each in standing.goes]
        lines.append(_why_by_tags(survey))
    kept = ", ".join(f"{each.kind} {each.id} ({each.why})" for each in standing.kept)
    saved = f" It saves ${standing.hourly:.2f} an hour." if standing.hourly else ""
    lines.append(f"Kept: {kept or 'nothing'}.{saved}")
    return lines


def _why_by_tags(survey: Survey) -> str:
    if trouble := survey.known.trouble:
        return f"Terraform's state cannot be read, so the tags alone say what is the stack's. {trouble.message}"
    if not survey.known.there:
        return "Terraform's state is not here, so the tags alone say what is the stack's: it may be somebody else's."
    strange = sorted((survey.standing.owners or frozenset()) - (survey.known.ids or frozenset()))
    if not strange:
        return f"Terraform's state has a VPC, and there is none of the stack's in {survey.standing.where}."
    return f"Terraform's state does not know {', '.join(strange)}: another stack of that name may be somebody else's."


def _rows(*rows: tuple[str, str]) -> list[str]:
    return [f"  {name + ':':<19} {text}" for name, text in rows if text]


def _pods(pods: Mapping[str, int]) -> str:
    return f"{sum(pods.values())} pods in {listed(sorted(pods))}" if pods else ""


def _kinds(survey: Survey) -> str:
    kinds = Counter(each.kind for each in survey.standing.goes)
    return ", ".join(counted(count, kind) for kind, count in kinds.items()) or "nothing"


async def _contents(session: Session) -> Contents:
    async with _asked(session) as (near, kube):
        # By itself: each of several first calls at once would start the credential plugin.
        pods, _ = await kube.list(POD)
        balancers, claims, there, releases = await asyncio.gather(
            load_balancers(kube), volume_claims(kube), volumes(kube), _releases(near, kube)
        )
    own = known_releases()
    namespaces = Counter(pod["metadata"]["namespace"] for pod in pods)
    return Contents(
        pods={name: count for name, count in namespaces.items() if name not in SYSTEM},
        load_balancers=tuple(each.label for each in balancers),
        volume_claims=tuple(each.label for each in claims),
        retained=tuple(each.label for each in there if is_retained(each)),
        releases=tuple(each.name for each in releases if (each.name, each.namespace) in own),
        foreign=tuple(f"{e.name} ({e.namespace})" for e in releases if (e.name, e.namespace) not in own),
    )


async def _releases(session: Session, kube: Kube) -> tuple[InstalledRelease, ...]:
    tool = await find(HELM)
    if tool is None:
        return ()
    return await provision.helm_of(session, {HELM.name: tool}, await kube.server_version(), None).list()


@asynccontextmanager
async def _asked(session: Session) -> AsyncIterator[tuple[Session, Kube]]:
    """A connection to the cluster, by a kubeconfig that is there for the time of the block; nothing here is touched."""
    with tempfile.TemporaryDirectory(prefix="drakit-down-") as folder:
        near = dataclasses.replace(session, workspace=Workspace(Path(folder), session.workspace.name))
        near.workspace.create()
        await near.target.access(session.stack, near.workspace, lambda _: None)
        async with near.connect() as kube:
            yield near, kube
