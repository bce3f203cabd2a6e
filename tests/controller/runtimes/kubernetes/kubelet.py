"""A PRETEND KUBELET for the double of the API server: it runs containers as plain processes of this machine.

No images, no isolation: what a container's command is, runs here, with its variables, its files and its directories, in
a place of the test's own. It restarts what ends once at once, and then waits for ever, as a kubelet does for a while.
Whether a container is ready it asks its TCP port alone.
"""

import os
import re
import signal
import subprocess
from base64 import b64decode
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio

from tests.controller.runtimes.kubernetes.apiserver import ApiServer, now

JSON = dict[str, Any]

PATH = "/usr/local/bin:/usr/bin:/bin"
ADDRESS = "127.0.0.1"  # of every pod
ROOT = "/podgate"  # what stands in manifests for a place of the test's own
LONGEST_MESSAGE = 2048  # bytes of a log that become a termination message


class Kubelet:
    """Runs the pods of an API server's double below `place`."""

    def __init__(self, api: ApiServer, place: Path) -> None:
        self._api = api
        self._place = place
        self._known: set[str] = set()

    async def run(self) -> None:
        """Run every pod there is and will be, until cancelled; what still runs then is killed."""
        async with trio.open_nursery() as nursery:
            while True:
                for (plural, name), thing in list(self._api.objects.items()):
                    uid = thing["metadata"]["uid"]
                    if plural == "pods" and uid not in self._known:
                        self._known.add(uid)
                        nursery.start_soon(self._run_pod, name, thing)
                await self._api.changed.wait()

    async def _run_pod(self, name: str, pod: JSON) -> None:
        """Follow a pod from its scheduling to its end, and take it out of the API then."""
        self._make_places(name, pod)
        scheduled = [{"type": "PodScheduled", "status": "True"}]
        self._show(name, {"phase": "Pending", "conditions": scheduled, "podIP": ADDRESS})
        with trio.CancelScope() as life:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._await_end, name, life)
                for container in pod["spec"].get("initContainers", []):
                    while await self._run_container(name, container, "initContainerStatuses", 0) != 0:
                        await trio.sleep_forever()
                await self._run_main(name, pod["spec"]["containers"][0])
        if self._api.objects.get(("pods", name), {}).get("metadata", {}).get("uid") == pod["metadata"]["uid"]:
            self._api.drop("pods", name)

    async def _run_main(self, name: str, container: JSON) -> None:
        for restarts in (0, 1):
            self._api.begin_log(f"{name}/{container['name']}")
            await self._run_container(name, container, "containerStatuses", restarts)
        await trio.sleep_forever()

    async def _await_end(self, name: str, life: trio.CancelScope) -> None:
        """Wait until the pod is asked to end; its processes get their grace as they are ended."""
        while not self._pod(name)["metadata"].get("deletionTimestamp"):
            await self._api.changed.wait()
        life.cancel()

    async def _run_container(self, name: str, container: JSON, kind: str, restarts: int) -> int:
        """Run a container to its end, showing in the API how it does; give its exit status."""
        log = f"{name}/{container['name']}"
        if log not in self._api.logs:
            self._api.begin_log(log)
        begin = len(self._api.logs[log])
        status: JSON = {"name": container["name"], "image": container["image"], "restartCount": restarts}
        last = self._last(name, kind)
        self._show(name, {"phase": "Running", kind: [{**status, "state": {"running": {}}, "ready": False, **last}]})
        code = await self._run_process(name, container, log, kind)
        message = bytes(self._api.logs[log][begin:])[-LONGEST_MESSAGE:].decode(errors="replace") if code else ""
        end = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed", "message": message,
                              "finishedAt": now()}}  # fmt: skip
        done = kind == "initContainerStatuses" and code == 0
        waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}}
        shown = {"state": waiting, "lastState": end} if restarts else {"state": end}
        if kind == "initContainerStatuses" and not done:
            shown = {"state": waiting, "lastState": end}
        self._show(name, {kind: [{**status, **shown, "ready": done}]}, ready="False")
        return code

    async def _run_process(self, name: str, container: JSON, log: str, kind: str) -> int:
        env = {"PATH": PATH, **self._env(name, container)}
        command = [self._mapped(name, _expanded(part, env)) for part in container["command"]]
        process = await trio.lowlevel.open_process(
            command, env=env, cwd=self._mapped(name, container.get("workingDir", "/")), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, process.stdout, log)
                if kind == "containerStatuses":
                    nursery.start_soon(self._probe, name, container)
                await process.wait()
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await self._end(process, name)
            await trio.lowlevel.cancel_shielded_checkpoint()
        with trio.move_on_after(0.2):
            await self._read(process.stdout, log)  # what it wrote last
        code = process.returncode or 0
        return 128 - code if code < 0 else code

    async def _end(self, process: trio.Process, name: str) -> None:
        """Ask it to end, and after the pod's grace end its group."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            begin = trio.current_time()
            with trio.CancelScope() as grace:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._keep_deadline, name, begin, grace)
                    await process.wait()
                    nursery.cancel_scope.cancel()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def _keep_deadline(self, name: str, begin: float, grace: trio.CancelScope) -> None:
        """Have a grace end when the API says so, which may change its mind."""
        while True:
            metadata = self._api.objects.get(("pods", name), {}).get("metadata", {})
            grace.deadline = begin + float(metadata.get("deletionGracePeriodSeconds", 0))
            await self._api.changed.wait()

    async def _read(self, stdout: trio.abc.ReceiveStream, log: str) -> None:
        with suppress(trio.ClosedResourceError):
            async for data in stdout:
                self._api.write(log, bytes(data))

    async def _probe(self, name: str, container: JSON) -> None:
        """Show the container ready when its port answers, or at once if it has none."""
        socket = container.get("readinessProbe", {}).get("tcpSocket")
        while socket is not None:
            try:
                await (await trio.open_tcp_stream(ADDRESS, socket["port"])).aclose()
                break
            except OSError:
                await trio.sleep(0.01)
        self._show(name, {}, ready="True")

    def _env(self, name: str, container: JSON) -> dict[str, str]:
        env: dict[str, str] = {}
        for each in container.get("env", []):
            if "value" in each:
                env[each["name"]] = self._mapped(name, _expanded(each["value"], env))
            else:
                key = each["valueFrom"]["secretKeyRef"]
                env[each["name"]] = b64decode(self._api.get("secrets", key["name"])["data"][key["key"]]).decode()
        return env

    def _make_places(self, name: str, pod: JSON) -> None:
        for directory in ("data", "run", "template"):
            Path(self._mapped(name, f"{ROOT}/{directory}", pod)).mkdir(parents=True, exist_ok=True)
        for volume in pod["spec"]["volumes"]:
            if "configMap" in volume:
                for file, text in self._api.get("configmaps", volume["configMap"]["name"])["data"].items():
                    Path(self._mapped(name, f"{ROOT}/template/{file}", pod)).write_text(text)

    def _mapped(self, name: str, text: str, pod: JSON | None = None) -> str:
        """Put the test's places in for those of a container: data is the claim's, the rest is each pod's own."""
        uid = (pod or self._pod(name))["metadata"]["uid"]
        claim = self._api.get("persistentvolumeclaims", f"data-{name}")["metadata"]["uid"]
        text = text.replace(f"{ROOT}/data", str(self._place / claim))
        return text.replace(ROOT, str(self._place / uid))

    def _pod(self, name: str) -> JSON:
        return self._api.get("pods", name)

    def _last(self, name: str, kind: str) -> JSON:
        """Give how the container ended before, as its next status tells it."""
        before: JSON = next(iter(self._pod(name)["status"].get(kind, [])), {})
        return {"lastState": before["state"]} if "terminated" in before.get("state", {}) else {}

    def _show(self, name: str, status: JSON, ready: str = "") -> None:
        pod = self._api.objects.get(("pods", name))
        if pod is None:
            return
        pod["status"] |= status
        if ready:
            kept = [each for each in pod["status"].get("conditions", []) if each["type"] != "Ready"]
            pod["status"]["conditions"] = [*kept, {"type": "Ready", "status": ready, "lastTransitionTime": now()}]
        self._api.put("pods", pod)


def _expanded(text: str, env: dict[str, str]) -> str:
    """Put variables in as Kubernetes does: `$(NAME)` if there is one, and `$$` is `$`."""
    return re.sub(
        r"\$\$|\$\((\w+)\)",
        lambda found: "$" if found[0] == "$$" else env.get(found[1], found[0]),
        text,
    )
