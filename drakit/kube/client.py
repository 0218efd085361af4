"""A client for one cluster: typed by `Kind`, plain objects in and out, refusals as drakit's errors."""

import functools
import ipaddress
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2
from lightkube import ALL_NS, ApiError, AsyncClient, KubeConfig
from lightkube.config import client_adapter
from lightkube.core.exceptions import ConfigError
from lightkube.generic_resource import create_global_resource, create_namespaced_resource
from lightkube.types import PatchType

from drakit.errors import ClusterError
from drakit.kube.kinds import RESOURCE_GROUP, RESOURCE_VERSIONS, Kind, Object, ResourceApi

FIELD_MANAGER = "drakit"
REQUEST_SECONDS = 15.0
MOST_LOG_BYTES = 1024 * 1024
"""Of a container's log: what a demo prints is a few KiB, and a container of another may print without end."""


class Kube:
    """A connection to a cluster.

    Args:
        kubeconfig: the file whose current context is used.
        field_manager: the owner that server-side apply records.

    Raises:
        ClusterError: the kubeconfig is missing or damaged.
    """

    def __init__(self, kubeconfig: Path, *, field_manager: str = FIELD_MANAGER) -> None:
        try:
            config = KubeConfig.from_file(kubeconfig).get()
        except (ConfigError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ClusterError(
                f"The kubeconfig {kubeconfig} cannot be used: {error}",
                hint="`drakit up` writes it anew.",
                code="kubeconfig-unusable",
            ) from error
        if config is None:
            raise ClusterError(f"The kubeconfig {kubeconfig} has no current context.", code="kubeconfig-unusable")
        self.server = config.cluster.server
        # A proxy from the environment is for other machines: kubectl, too, reaches loopback without it.
        trust_env = not _is_loopback(self.server)
        timeout = httpx2.Timeout(REQUEST_SECONDS)
        self._client = AsyncClient(config=config, field_manager=field_manager, timeout=timeout, trust_env=trust_env)
        parameters = client_adapter.ConnectionParams(timeout=timeout, trust_env=trust_env)
        self._raw = client_adapter.AsyncClient(config, parameters)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
        await self._raw.aclose()

    async def resource_api(self) -> ResourceApi | None:
        """The best version of resource.k8s.io that the cluster serves and drakit speaks, or None."""
        with _errors(self.server):
            response = await self._raw.get(f"apis/{RESOURCE_GROUP}")
            if response.status_code == httpx2.codes.NOT_FOUND:
                return None
            response.raise_for_status()
            served = {version["version"] for version in response.json()["versions"]}
        return next((ResourceApi(version) for version in RESOURCE_VERSIONS if version in served), None)

    async def server_version(self) -> str:
        """The version of the API server: "v1.33.13"."""
        with _errors(self.server):
            response = await self._raw.get("version")
            response.raise_for_status()
            return str(response.json()["gitVersion"])

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        """An object, or None when there is none of that name."""
        with _errors(self.server, f"{kind.name} {name}"):
            try:
                return dict(await self._client.get(_resource(kind), name, namespace=namespace))
            except ApiError as error:
                if error.status.code == httpx2.codes.NOT_FOUND:
                    return None
                raise

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> tuple[list[Object], str]:
        """All objects of a kind (in every namespace when none is named), and the resource version to watch from."""
        with _errors(self.server, kind.plural):
            response = self._client.list(
                _resource(kind), namespace=_scope(kind, namespace), labels=_selector(labels), fields=_selector(fields)
            )
            objects = [dict(item) async for item in response]
            return objects, response.resourceVersion

    async def watch(
        self,
        kind: Kind,
        resource_version: str,
        namespace: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> AsyncIterator[tuple[str, Object]]:
        """What happens after `resource_version`: ("ADDED" | "MODIFIED" | "DELETED", object).

        Raises:
            ClusterError: the watch ended; list again and watch from there.
        """
        stream = self._client.watch(
            _resource(kind),
            namespace=_scope(kind, namespace),
            labels=_selector(labels),
            fields=_selector(fields),
            resource_version=resource_version,
        )
        with _errors(self.server, kind.plural):
            try:
                async for event, item in stream:
                    yield event, dict(item)
            finally:
                await stream.aclose()  # type: ignore[attr-defined]

    async def create(self, kind: Kind, obj: Object) -> Object:
        """Create an object.

        Raises:
            ClusterError: code "already-exists", or another refusal.
        """
        metadata = obj["metadata"]
        with _errors(self.server, f"{kind.name} {metadata.get('name', metadata.get('generateName'))}"):
            return dict(await self._client.create(_typed(kind, obj), **_place(metadata.get("namespace"))))

    async def apply(self, kind: Kind, obj: Object) -> Object:
        """Server-side apply: create an object, or change the fields that are given. Takes over conflicting fields."""
        metadata = obj["metadata"]
        with _errors(self.server, f"{kind.name} {metadata['name']}"):
            place = _place(metadata.get("namespace"))
            return dict(await self._client.apply(_typed(kind, obj), force=True, **place))

    async def patch(
        self, kind: Kind, name: str, patch: Object, namespace: str | None = None, *, subresource: str | None = None
    ) -> Object:
        """Change an object by a JSON merge patch; `subresource` is "status" or None.

        Raises:
            ClusterError: code "not-found" when it is gone, "conflict" when `metadata.resourceVersion` in the
                patch is not the object's.
        """
        resource = _resource(kind)
        target = resource.Status if subresource == "status" else resource
        with _errors(self.server, f"{kind.name} {name}"):
            answer = await self._client.patch(target, name, patch, namespace=namespace, patch_type=PatchType.MERGE)
            return dict(answer)

    async def replace(self, kind: Kind, obj: Object) -> Object:
        """Replace an object; its resourceVersion must still be the current one.

        Raises:
            ClusterError: code "conflict" when somebody else changed it.
        """
        metadata = obj["metadata"]
        with _errors(self.server, f"{kind.name} {metadata['name']}"):
            return dict(await self._client.replace(_typed(kind, obj), **_place(metadata.get("namespace"))))

    async def delete(
        self, kind: Kind, name: str, namespace: str | None = None, *, grace_seconds: int | None = None
    ) -> bool:
        """Ask for an object's deletion; dependents go in the background. Returns False when it is already gone."""
        with _errors(self.server, f"{kind.name} {name}"):
            try:
                await self._client.delete(_resource(kind), name, namespace=namespace, grace_period=grace_seconds)
            except ApiError as error:
                if error.status.code == httpx2.codes.NOT_FOUND:
                    return False
                raise
        return True

    async def evict(self, pod: str, namespace: str) -> str:
        """Ask a pod to go as `kubectl drain` does; says what holds it, a PodDisruptionBudget, or nothing."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
        }
        with _errors(self.server, f"Pod {pod}"):
            response = await self._raw.post(f"api/v1/namespaces/{namespace}/pods/{pod}/eviction", json=body)
            if response.status_code == httpx2.codes.TOO_MANY_REQUESTS:
                details = response.json().get("details") or {}
                causes = [str(cause.get("message", "")) for cause in details.get("causes", ())]
                return " ".join(causes) or str(response.json().get("message", "its PodDisruptionBudget forbids it"))
            if response.status_code != httpx2.codes.NOT_FOUND:
                response.raise_for_status()
        return ""

    async def follow_log(self, namespace: str, pod: str, container: str) -> AsyncIterator[str]:
        """The lines of a container's log, those to come included, up to its end or `MOST_LOG_BYTES`."""
        with _errors(self.server, f"log of pod {pod}"):
            async with self._raw.stream(
                "GET",
                f"api/v1/namespaces/{namespace}/pods/{pod}/log",
                params={"container": container, "follow": "true", "limitBytes": str(MOST_LOG_BYTES)},
                timeout=httpx2.Timeout(REQUEST_SECONDS, read=None),
            ) as response:
                response.raise_for_status()
                async for line in response.aiter_lines():
                    yield line


@functools.cache
def _resource(kind: Kind) -> Any:
    group, _, version = kind.api_version.rpartition("/")
    create = create_namespaced_resource if kind.namespaced else create_global_resource
    return create(group, version, kind.name, kind.plural)


def _typed(kind: Kind, obj: Object) -> Any:
    return _resource(kind)(obj)


def _place(namespace: str | None) -> dict[str, Any]:
    return {"namespace": namespace} if namespace else {}


def _scope(kind: Kind, namespace: str | None) -> str | None:
    return (namespace or ALL_NS) if kind.namespaced else None


def _selector(wanted: Mapping[str, str] | None) -> dict[str, Any] | None:
    return dict(wanted) if wanted else None


def _is_loopback(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_CODES = {401: "unauthorized", 403: "forbidden", 404: "not-found", 409: "conflict", 410: "expired", 422: "invalid"}


@contextmanager
def _errors(server: str, what: str = "") -> Iterator[None]:
    prefix = f"{what}: " if what else ""
    try:
        yield
    except ApiError as error:
        status = error.status
        code = (
            "already-exists" if status.reason == "AlreadyExists" else _CODES.get(status.code or 0, "kubernetes-refused")
        )
        raise ClusterError(
            f"{prefix}Kubernetes refused: {status.message}", code=code, details={"status": status.code}
        ) from error
    except ConfigError as error:
        # lightkube's word for a credential plugin that failed.
        raise ClusterError(
            f"{prefix}the kubeconfig gives no credentials: {error}",
            hint="`kubectl get nodes` with the same kubeconfig shows what its credential plugin says.",
            code="unauthorized",
        ) from error
    except httpx2.HTTPStatusError as error:
        status_code = error.response.status_code
        raise ClusterError(
            f"{prefix}Kubernetes refused: HTTP status {status_code}",
            code=_CODES.get(status_code, "kubernetes-refused"),
            details={"status": status_code},
        ) from error
    except httpx2.HTTPError as error:
        raise ClusterError(
            f"{prefix}the Kubernetes API at {server} does not answer: {error or type(error).__name__}",
            hint="`drakit status` shows what runs; `drakit up` heals it.",
            code="unreachable",
        ) from error
