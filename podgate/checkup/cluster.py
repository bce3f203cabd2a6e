"""A cluster: what the account that Podgate uses may do there, and what pods will need.

Rights are asked of the cluster itself: all of them at once (SelfSubjectRulesReview), and one by one where that answer
may not be complete (SelfSubjectAccessReview), as with authorizers outside the cluster. What else the account cannot
see, which least privilege keeps it from, is said to be unknown and is no failure. Nothing in the cluster is changed.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import trio

from controller.runtimes.kubernetes.access import Access, CredentialsFailure
from controller.runtimes.kubernetes.rights import NEEDED, OF_OWNERS, Right, missing, rules_for
from controller.runtimes.kubernetes.settings import ClusterSettings
from podgate.checkup.findings import Finding, looked, ok, unsure, wrong

JSON = dict[str, Any]

OLDEST = (1, 27)  # of the server
ANSWER_LIMIT = 10.0  # seconds
LONGEST_ANSWER = 4 * 2**20  # bytes
MOST_SKEW = 60.0  # seconds between our clock and the cluster's
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
ONLY_NAMES = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"  # of a Secret nothing else is to come here


class Unreachable(Exception):
    """The API gave no answer; the text says why."""


class Checkup:
    """One look at one cluster."""

    def __init__(self, access: Access, settings: ClusterSettings) -> None:
        """Nothing is asked before `look`, which blocks, and not within trio."""
        self._access = access
        self._settings = settings
        self._shown: dict[str, str] = {}

    def look(self) -> Iterator[Finding]:
        """Look at everything; if the API is out of reach, at nothing more."""
        transport = httpx.HTTPTransport(verify=self._access.verify, trust_env=False, proxy=self._access.proxy or None)
        with httpx.Client(
            transport=transport, base_url=self._access.url, timeout=ANSWER_LIMIT, trust_env=False
        ) as self._http:
            try:
                self._shown = self._credentials()
                yield from self._reached()
                looks = (self._namespace, self._rights, self._storage, self._queues, self._pull_secrets, self._policies)
                yield from looked(looks)
            except Unreachable as failure:
                cure = "see whether the cluster is up, and whether the kubeconfig or the service account still holds"
                yield wrong("cluster", str(failure), cure)

    def _credentials(self) -> dict[str, str]:
        """Give the headers that show who we are. Raises Unreachable."""

        async def asked() -> dict[str, str]:
            with trio.fail_after(ANSWER_LIMIT):
                return await self._access.headers()

        try:
            return trio.run(asked)
        except trio.TooSlowError:
            raise Unreachable(f"the credentials for {self._access.url} did not come in time") from None
        except CredentialsFailure as failure:
            raise Unreachable(f"the credentials for {self._access.url} cannot be had: {failure}") from failure

    def _reached(self) -> Iterator[Finding]:
        status, found, headers = self._ask("GET", "/version")
        if status == 401:
            raise Unreachable(f"{self._access.url} does not know us")
        if status != 200:
            yield unsure(
                "cluster", f"{self._access.url} does not tell its version (status {status})", "look: kubectl version"
            )
            return
        told = str(found.get("gitVersion", "")) or "a version it does not name"
        numbers = re.match(r"v?(\d+)\.(\d+)", told)
        if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
            yield wrong("cluster", f"it is Kubernetes {told}", f"use {OLDEST[0]}.{OLDEST[1]} or newer")
        else:
            yield ok("cluster", f"Kubernetes {told} at {self._access.url}")
        yield from _skew(headers.get("date", ""))

    def _namespace(self) -> Iterator[Finding]:
        name = self._settings.namespace
        status, _found, _headers = self._ask("GET", f"/api/v1/namespaces/{name}")
        if status == 404:
            yield wrong("namespace", f"there is no namespace {name}", f"make it: kubectl create namespace {name}")
        elif status == 200:
            yield ok("namespace", f"{name} is there")
        else:
            yield unsure(
                "namespace",
                f"whether {name} is there cannot be seen by this account",
                f"look: kubectl get namespace {name}",
            )

    def _rights(self) -> Iterator[Finding]:
        lacking = self._lacking(NEEDED)
        if lacking:
            told = ", ".join(map(str, lacking))
            yield wrong(
                "rights", f"this account may not, in namespace {self._settings.namespace}: {told}",
                f"give it a Role with these rules: {json.dumps(rules_for(lacking))}",
            )  # fmt: skip
        else:
            yield ok("rights", f"all {len(NEEDED)} that the runtime needs in namespace {self._settings.namespace}")
        if self._lacking(OF_OWNERS):
            yield unsure(
                "rights of owners", "this account may not update statefulsets/finalizers (apps)",
                "needed only on OpenShift and where OwnerReferencesPermissionEnforcement runs (chart: rbac.finalizers)",
            )  # fmt: skip

    def _lacking(self, needed: Iterable[Right]) -> list[Right]:
        """Tell which rights the account lacks. Raises Unreachable."""
        spec = {"namespace": self._settings.namespace}
        status, found, _headers = self._review("selfsubjectrulesreviews", "SelfSubjectRulesReview", spec)
        answer = found.get("status") or {}
        rules = answer.get("resourceRules") or [] if status == 201 else []
        unnamed = missing(rules, needed)
        if status == 201 and not answer.get("incomplete"):
            return unnamed
        return [right for right in unnamed if not self._may(right)]

    def _may(self, right: Right) -> bool:
        resource, _slash, subresource = right.resource.partition("/")
        attributes = {
            "namespace": self._settings.namespace, "verb": right.verb, "group": right.group, "resource": resource,
            "subresource": subresource,
        }  # fmt: skip
        spec = {"resourceAttributes": attributes}
        status, found, _headers = self._review("selfsubjectaccessreviews", "SelfSubjectAccessReview", spec)
        return status == 201 and (found.get("status") or {}).get("allowed") is True

    def _review(self, plural: str, kind: str, spec: JSON) -> tuple[int, JSON, Mapping[str, str]]:
        document = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
        return self._ask("POST", f"/apis/authorization.k8s.io/v1/{plural}", document)

    def _storage(self) -> Iterator[Finding]:
        what, path, name = "storage class", "/apis/storage.k8s.io/v1/storageclasses", self._settings.storage_class
        if name:
            yield self._named(
                what, f"{path}/{name}", name, "make it, or name another by storage_class in kubernetes.toml"
            )
            return
        status, found, _headers = self._ask("GET", path)
        if status != 200:
            yield unsure(
                what,
                "whether the cluster has a default one cannot be seen by this account",
                "look: kubectl get storageclass",
            )
            return
        classes = [each.get("metadata") or {} for each in found.get("items") or []]
        defaults = [
            each.get("name") for each in classes if (each.get("annotations") or {}).get(DEFAULT_CLASS) == "true"
        ]
        if defaults:
            yield ok(what, f"{defaults[0]}, the cluster's default")
        else:
            names = ", ".join(str(each.get("name")) for each in classes[:10]) or "none at all"
            yield wrong(
                what,
                f"the cluster has no default one; there are: {names}",
                "name one by storage_class in kubernetes.toml",
            )

    def _queues(self) -> Iterator[Finding]:
        for queue, of_it in self._settings.queues.items():
            if of_it.runtime_class:
                path = f"/apis/node.k8s.io/v1/runtimeclasses/{of_it.runtime_class}"
                cure = f"install it, or change runtime_class of queue {queue} in kubernetes.toml"
                yield self._named("runtime class", path, of_it.runtime_class, cure)

    def _pull_secrets(self) -> Iterator[Finding]:
        for name in self._settings.pull_secrets:
            path = f"/api/v1/namespaces/{self._settings.namespace}/secrets/{name}"
            cure = f"kubectl -n {self._settings.namespace} create secret docker-registry {name} …"
            yield self._named("pull secret", path, name, cure)

    def _named(self, what: str, path: str, name: str, cure: str) -> Finding:
        status, _found, _headers = self._ask("GET", path)
        if status == 200:
            return ok(what, f"{name} is there")
        if status == 404:
            return wrong(what, f"there is no {what} {name}", cure)
        return unsure(what, f"whether there is {name} cannot be seen by this account", f"see that it is; else: {cure}")

    def _policies(self) -> Iterator[Finding]:
        """Say what cannot be asked: the API takes policies whether or not anything heeds them."""
        if self._settings.policies_enforced:
            yield ok("network policies", "enforced, as kubernetes.toml says; no API tells whether it is so")
        else:
            yield unsure(
                "network policies", "no API tells whether the cluster's network heeds them",
                "see that it does, as docs/install-kubernetes.md tells; then set policies_enforced in kubernetes.toml",
            )  # fmt: skip

    def _ask(self, method: str, path: str, document: JSON | None = None) -> tuple[int, JSON, Mapping[str, str]]:
        """Give status, document and headers of an answer. Raises Unreachable."""
        names = self._access.server_name
        headers = {**self._shown, "Accept": ONLY_NAMES if "/secrets/" in path else "application/json"}
        try:
            with self._http.stream(
                method, path, json=document, headers=headers, extensions={"sni_hostname": names} if names else {}
            ) as response:
                return response.status_code, _document(response), response.headers
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise Unreachable(f"{self._access.url} cannot be reached: {reason}") from error


def _document(response: httpx.Response) -> JSON:
    """Read an answer. Raises Unreachable if it is endless."""
    body = bytearray()
    for data in response.iter_bytes():
        body += data
        if len(body) > LONGEST_ANSWER:
            raise Unreachable(f"an answer is longer than {LONGEST_ANSWER} bytes")
    try:
        found = json.loads(bytes(body))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _skew(told: str) -> Iterator[Finding]:
    try:
        seconds = (datetime.now(UTC) - parsedate_to_datetime(told)).total_seconds()
    except (ValueError, TypeError):
        return
    if abs(seconds) > MOST_SKEW:
        which = "ahead of" if seconds > 0 else "behind"
        cure = "set the one that is wrong: certificates and tokens go by it"
        yield wrong("clocks", f"ours is {abs(seconds):.0f} s {which} the cluster's", cure)
