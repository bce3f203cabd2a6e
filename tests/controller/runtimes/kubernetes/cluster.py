"""A cluster for tests: the double of an API server with the pretend kubelet, and runtimes that live on it."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from controller.runtimes.kubernetes.access import Access
from controller.runtimes.kubernetes.runtime import KubernetesRuntime
from controller.runtimes.kubernetes.settings import ClusterSettings
from tests.controller.runtimes.homes import TEMPLATES, Living
from tests.controller.runtimes.kubernetes.apiserver import ApiServer
from tests.controller.runtimes.kubernetes.kubelet import Kubelet

SETTINGS = ClusterSettings(policies_enforced=True, allow=("example.test/*",))


@asynccontextmanager
async def cluster() -> AsyncIterator[ApiServer]:
    """Run an API server's double and a kubelet that runs its pods here."""
    with tempfile.TemporaryDirectory(prefix="pgk", ignore_cleanup_errors=True) as place:
        async with ApiServer().serving() as api, trio.open_nursery() as nursery:
            nursery.start_soon(Kubelet(api, Path(place)).run)
            yield api
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def cluster_life(api: ApiServer, settings: ClusterSettings = SETTINGS) -> AsyncIterator[Living]:
    """Run a runtime on a cluster and then drop it as a killed controller would; its pods go on."""
    living = Living(KubernetesRuntime(settings, TEMPLATES, Access(api.url, verify=False)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(living.runtime.run)
        yield living
        nursery.cancel_scope.cancel()
