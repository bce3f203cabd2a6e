"""The Kubernetes pod of an order: what runs, as whom, with which variables, files and bounds. Pure.

Three directories, as on every runtime: `data` (a volume that is kept), `run` (empty in every new Kubernetes pod) and
`template` (its scripts). What the template prepares is an init container, which alone is given the pod's secrets.

Hardened by default: no root, no privilege can be gained, no capability, the runtime's own seccomp profile, a file
system that cannot be written to except for those directories and /tmp, and no token for the cluster's API.
"""

from collections.abc import Mapping
from typing import Any

from controller.runtimes.environment import told
from controller.runtimes.kubernetes.order import Order, amount

JSON = dict[str, Any]

DATA, RUN, TEMPLATE = "/podgate/data", "/podgate/run", "/podgate/template"
VOLUME = "data"  # the claim's name; Kubernetes adds the pod's
MAIN, PREPARE = "pod", "prepare"  # the containers' names

USUAL_GRACE = 30  # seconds to end where nobody gave another, as when its node is emptied
START_CHECKS = 3600  # of one second each: a database may recover for long, and to end it would make it begin anew
RUN_SIZE = "512Mi"
SHARED_MEMORY = "256Mi"  # of the pod's ram; Kubernetes gives 64 MiB otherwise, too little for parallel queries


def pod_spec(order: Order) -> JSON:
    """Give the `spec` of an order's Kubernetes pod."""
    scripted = bool(order.template.start)
    spec: JSON = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": USUAL_GRACE,
        "securityContext": _pod_security(order),
        "containers": [_main(order)],
        "volumes": [
            {"name": "run", "emptyDir": {"sizeLimit": RUN_SIZE}},
            {"name": "tmp", "emptyDir": {"sizeLimit": order.settings.scratch}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": SHARED_MEMORY}},
        ],
    }
    if scripted:
        spec["volumes"].append({"name": "template", "configMap": {"name": order.name, "defaultMode": 0o444}})
    if order.template.prepare:
        spec["initContainers"] = [_prepare(order)]
    if order.settings.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in order.settings.pull_secrets]
    return spec | _place(order)


def escaped(text: str) -> str:
    """Keep Kubernetes from putting variables into a text: it reads `$(NAME)`, and `$$` as `$`."""
    return text.replace("$", "$$")


def _main(order: Order) -> JSON:
    ports = {variable: order.port(variable) for variable in order.part.ports}
    container: JSON = {
        **_container(order, MAIN, _variables(order)),
        "ports": [{"name": _port_name(name), "containerPort": port} for name, port in ports.items()],
    }
    if ports:
        question = _question(order)
        container["startupProbe"] = {
            **question,
            "periodSeconds": 1,
            "timeoutSeconds": 2,
            "failureThreshold": START_CHECKS,
        }
        container["readinessProbe"] = {**question, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3}
    command = order.parameters.get("command", "")
    if order.template.start:
        container |= {"command": ["/bin/sh", f"{TEMPLATE}/{order.template.start}"], "workingDir": DATA}
    elif command:
        container["command"] = ["/bin/sh", "-c", escaped(command)]
    return container


def _prepare(order: Order) -> JSON:
    secrets = [_secret(order, f"SECRET_{name.upper()}", f"secret.{name}") for name in order.pod.secrets]
    taken = {secret["name"] for secret in secrets}
    variables = [each for each in _variables(order) if each["name"] not in taken]
    return {
        **_container(order, PREPARE, [*variables, *secrets]),
        "command": ["/bin/sh", f"{TEMPLATE}/{order.template.prepare}"],
        "workingDir": DATA,
    }


def _container(order: Order, name: str, env: list[JSON]) -> JSON:
    mounts: list[JSON] = [
        {"name": VOLUME, "mountPath": order.chosen("data", DATA)},
        {"name": "run", "mountPath": RUN},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # an empty directory of the pod's own
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
    ]
    if order.template.start:
        mounts.append({"name": "template", "mountPath": TEMPLATE, "readOnly": True})
    return {
        "name": name,
        "image": str(order.image),
        "env": env,
        "resources": _resources(order),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": order.part.read_only,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",  # its last lines are then in its status
        "volumeMounts": mounts,
    }


def _variables(order: Order) -> list[JSON]:
    """Give a container's variables: nothing of the owner's in place of what we say.

    The owner's are in the Secret: they may hold keys of other services, and many may read a Pod.
    """
    template, own = order.template, order.pod.env
    usual: Mapping[str, str] = {"HOME": DATA, "LANG": "C.UTF-8", **template.env} if template.start else template.env
    ours = _ours(order)
    plain = {name: value for name, value in usual.items() if name not in own} | ours
    entries = [{"name": name, "value": escaped(value)} for name, value in plain.items()]
    return entries + [_secret(order, name, f"env.{name}") for name in own if name not in ours]


def _ours(order: Order) -> dict[str, str]:
    ours = {
        **order.part.env,
        **told(order.pod, order.template, order.parameters),
        **{variable: str(order.port(variable)) for variable in order.part.ports},
        "POD_DATA": order.chosen("data", DATA),
        "POD_RUN": RUN,
        "POD_LISTEN": order.settings.listen,
    }
    if order.template.start:
        ours["POD_TEMPLATE"] = TEMPLATE
    if order.template.cache:
        ours["POD_CACHE"] = f"{RUN}/cache"  # `prepare` makes it if it needs it
    return ours


def _secret(order: Order, variable: str, key: str) -> JSON:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": order.name, "key": key}}}


def _question(order: Order) -> JSON:
    """Ask whether it answers as the template says, or else whether its first port can be connected to."""
    if order.part.ready:
        return {"exec": {"command": ["/bin/sh", "-c", escaped(order.part.ready)]}}
    for ready in order.template.ready:
        if ready.protocol == "http" and ready.port in order.part.ports:
            return {"httpGet": {"path": ready.path or "/", "port": order.port(ready.port), "scheme": "HTTP"}}
    first = next(iter(order.part.ports))
    return {"tcpSocket": {"port": order.port(first)}}


def _resources(order: Order) -> JSON:
    settings = order.settings
    cpus, ram = order.chosen("cpus", settings.cpus), order.chosen("ram", settings.ram)
    limits = {"cpu": cpus, "memory": ram, "ephemeral-storage": settings.scratch}
    requests = {"cpu": _least(cpus, settings.cpus_request), "memory": _least(ram, settings.ram_request)}
    if gpus := order.parameters.get("gpus"):
        limits[order.queue.gpu] = gpus  # cannot be more than was requested, so it is that, too
    return {"requests": requests, "limits": limits}


def _least(*quantities: str) -> str:
    return min(quantities, key=amount)


def _pod_security(order: Order) -> JSON:
    root = order.parameters.get("user") == "0"
    context: JSON = {"runAsNonRoot": not root, "seccompProfile": {"type": "RuntimeDefault"}}
    if order.user or root:
        context["runAsUser"] = order.user
    if group := order.part.group or order.user:
        # Changed only where the volume's root is another's: PostgreSQL refuses files that its group may write.
        context |= {"runAsGroup": group, "fsGroup": group, "fsGroupChangePolicy": "OnRootMismatch"}
    return context


def _place(order: Order) -> JSON:
    queue = order.queue
    place: JSON = {}
    if queue.node_selector:
        place["nodeSelector"] = dict(queue.node_selector)
    if queue.tolerations:
        place["tolerations"] = [dict(each) for each in queue.tolerations]
    if queue.runtime_class:
        place["runtimeClassName"] = queue.runtime_class
    return place


def _port_name(variable: str) -> str:
    """Make a port's name of its variable: at most 15 of a-z, 0-9 and '-'."""
    return variable.lower().replace("_", "-")[:15].strip("-")
