"""Orders: a launch, judged by its template and by what the operator allows. Pure.

What a pod of any template can be told on Kubernetes beside its own parameters is told by parameters, too: how much of a
machine it may have, and of which machines.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from posixpath import normpath

from controller.runtimes import Launch, RuntimeFailure
from controller.runtimes.environment import check_variables
from controller.runtimes.kubernetes.images import Image, ImageRefused, check_content, parse_image, permit
from controller.runtimes.kubernetes.settings import ClusterSettings, Queue
from controller.templates import InCluster, InvalidParameter, Parameter, Template

LONGEST_NAME = 52  # characters: a StatefulSet's, with 11 more of its revision, is a label's value, which has 63
DEFAULT_QUEUE = "default"

_QUANTITY = "[0-9]{1,6}([.][0-9]{1,3})?"
_SIZE = f"{_QUANTITY}(M|G|T|Ki|Mi|Gi|Ti)"
PARAMETERS = (
    Parameter(
        "cpus", "the most processors it may use", pattern=f"{_QUANTITY}m?", expected="a number such as 2 or 500m"
    ),
    Parameter("ram", "the most memory it may use", pattern=_SIZE, expected="a size such as 512Mi or 2Gi"),
    Parameter("disk", "how much its volume holds; set once", pattern=_SIZE, expected="a size such as 5Gi"),
    Parameter("gpus", "how many GPUs it has to itself", pattern="[1-9][0-9]?", expected="a number from 1 to 99"),
    Parameter(
        "queue", "which of the operator's queues it runs in", pattern="[a-z0-9-]{1,63}", expected="a queue's name"
    ),
)
_FACTORS: Mapping[str, int | Decimal] = {"": 1, "m": Decimal("0.001"), "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}  # fmt: skip

LARGEST_USER = 2**31 - 1  # of the API
# A volume there would stand in the way of what Kubernetes and we put there, or of the image's own start.
_NOT_FOR_DATA = ("/podgate/run", "/podgate/template", "/tmp", "/dev", "/proc", "/sys", "/etc")  # noqa: S108
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_NO_QUEUE = Queue()


@dataclass(frozen=True, slots=True)
class Order:
    """All that decides what a pod's objects are."""

    pod: Launch
    template: Template
    part: InCluster
    settings: ClusterSettings
    parameters: Mapping[str, str]  # with the defaults filled in
    image: Image
    queue: Queue
    user: int  # the uid it runs as; 0: what its image says

    @property
    def name(self) -> str:
        """What its objects are called."""
        return object_name(self.pod.key)

    def chosen(self, parameter: str, otherwise: str) -> str:
        """Give a parameter, or what holds without it."""
        return self.parameters.get(parameter) or otherwise

    def port(self, variable: str) -> int:
        """Give the port a variable stands for; that of an endpoint's may be a parameter of that name."""
        return int(self.parameters.get(variable.lower()) or self.part.ports[variable])


def object_name(key: str) -> str:
    """Give the name of all objects of a pod. Raises RuntimeFailure."""
    name = f"pg-{key}"
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise RuntimeFailure(f"{key!r} cannot name a pod on Kubernetes: at most {LONGEST_NAME - 3} of a-z, 0-9 and '-'")
    return name


def key_of(name: str) -> str | None:
    """Give the key of the pod whose objects have a name; None if none has."""
    fits = name.startswith("pg-") and len(name) <= LONGEST_NAME and _NAME.fullmatch(name)
    return name.removeprefix("pg-") if fits else None


def offered(templates: Mapping[str, Template]) -> dict[str, Template]:
    """Give the templates that can run on Kubernetes, with the parameters they have there."""
    return {
        name: replace(template, parameters=_parameters(template, template.kubernetes))
        for name, template in templates.items()
        if template.kubernetes is not None
    }


def judge(pod: Launch, templates: Mapping[str, Template], settings: ClusterSettings, *, running: bool = False) -> Order:
    """Make an order of a launch, by templates as `offered` gives them. Raises RuntimeFailure.

    Of what is `running` already it is not asked whether the operator allows it, and where it is to be is left open.
    """
    template = templates.get(pod.template)
    if template is None or template.kubernetes is None:
        names = ", ".join(templates)
        raise RuntimeFailure(f"there is no template {pod.template!r} on Kubernetes; there are {names}")
    part = template.kubernetes
    check_variables(pod.env)
    if running:
        settings = replace(settings, policies_enforced=True, allow=("*/*",), require_digest=False, allow_root=True)
    _check_trust(template, part, settings)
    try:
        parameters = template.check_parameters(pod.parameters)
        image = _image(template, part, parameters, settings)
    except (InvalidParameter, ImageRefused) as error:
        raise RuntimeFailure(f"{pod.name} could not be started: {error}") from error
    if not running:
        _check_amounts(parameters, settings)
    _check_place(parameters.get("data", ""))
    user = _user(parameters, part, settings)
    queue = _NO_QUEUE if running else _queue(parameters, settings)
    order = Order(pod, template, part, settings, parameters, image, queue, user)
    object_name(pod.key)
    return order


def _parameters(template: Template, part: InCluster | None) -> tuple[Parameter, ...]:
    own = template.parameters
    taken = {parameter.name for parameter in own}
    more = (*(part.parameters if part else ()), *PARAMETERS)
    return (*own, *(parameter for parameter in more if parameter.name not in taken))


def _check_trust(template: Template, part: InCluster, settings: ClusterSettings) -> None:
    """Refuse a pod that believes whoever reaches it where more than gateways could."""
    if part.trusts_gateway and not settings.policies_enforced:
        raise RuntimeFailure(
            f"a {template.name} pod serves whoever reaches its port, and only a NetworkPolicy keeps others of the "
            "cluster away; whoever runs Podgate must see that the cluster's network heeds them, and then write "
            "policies_enforced = true into kubernetes.toml"
        )


def _image(template: Template, part: InCluster, parameters: Mapping[str, str], settings: ClusterSettings) -> Image:
    """Choose the image: the operator's, the template's, or, where that names none, the owner's if it is allowed."""
    given = settings.images.get(template.name) or part.image
    image = parse_image(given or parameters.get("image", ""))
    if not given:
        permit(image, settings.allow)
    if settings.require_digest:
        check_content(image)
    return image


def amount(quantity: str) -> Decimal:
    """Tell what a quantity such as `500m` or `2Gi` amounts to."""
    digits = quantity.rstrip("mkMGTi")
    return Decimal(digits) * _FACTORS[quantity[len(digits) :]]


def _check_amounts(parameters: Mapping[str, str], settings: ClusterSettings) -> None:
    """Refuse more than the operator lets owners have, and nothing: Kubernetes takes a limit of 0 for none."""
    bounds = {"cpus": settings.most_cpus, "ram": settings.most_ram, "disk": settings.most_disk,
              "gpus": str(settings.most_gpus)}  # fmt: skip
    for name, most in bounds.items():
        given = parameters.get(name)
        if given and not 0 < amount(given) <= amount(most):
            raise RuntimeFailure(
                f"{name}: expected more than 0 and at most {most}, got {given}; ask whoever runs Podgate"
            )


def _check_place(path: str) -> None:
    """Refuse a place for the volume that is taken."""
    if not path:
        return
    taken = any(path == each or path.startswith(f"{each}/") for each in _NOT_FOR_DATA)
    if taken or path in ("/", "/podgate") or path.startswith("//") or normpath(path) != path:
        raise RuntimeFailure(
            f"data: {path} cannot be the volume's place; choose another, without '.', '..' or a '/' at its end"
        )


def _user(parameters: Mapping[str, str], part: InCluster, settings: ClusterSettings) -> int:
    given = parameters.get("user", "")
    if given == "0" and not settings.allow_root:
        raise RuntimeFailure("user: 0 is root, which is not allowed here; choose another, or an image that needs none")
    if int(given or 0) > LARGEST_USER:
        raise RuntimeFailure(f"user: expected a number up to {LARGEST_USER}, got {given}")
    return int(given or part.user)


def _queue(parameters: Mapping[str, str], settings: ClusterSettings) -> Queue:
    name = parameters.get("queue") or DEFAULT_QUEUE
    queue = settings.queues.get(name, _NO_QUEUE if name == DEFAULT_QUEUE else None)
    if queue is None:
        names = ", ".join(settings.queues) or "none but the default"
        raise RuntimeFailure(f"queue: there is no queue {name!r}; there are: {names}")
    return queue
