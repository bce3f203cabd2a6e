"""Settings of the Kubernetes runtime: `kubernetes.toml` in the home, all of it optional."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from controller.runtimes.kubernetes.images import parse_image, parse_pattern
from controller.settings import SettingsProblem

FILE = "kubernetes.toml"

_STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True)
_Label = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
_Image = Annotated[str, AfterValidator(lambda text: parse_image(text) and text)]
_Images = Annotated[str, AfterValidator(lambda text: parse_pattern(text) and text)]


def _written(value: object) -> object:
    """Give a quantity as Kubernetes writes it: "2" may also be 2, or 2.0 as helm makes it of a values file."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:g}" if is_number else value


_Quantity = Annotated[
    str, BeforeValidator(_written), Field(pattern=r"^[0-9]{1,6}(\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")
]


@dataclass(frozen=True, slots=True)
class Queue:
    """Where pods of a kind run: `--parameter queue=NAME` chooses one; `default` is for all that choose none."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, str | int], ...] = ()
    runtime_class: str = ""  # a RuntimeClass, as of gVisor or Kata; empty: the cluster's own
    gpu: str = "nvidia.com/gpu"  # what its nodes call a GPU


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What an operator decides. As it begins it is closed: only the templates' own images, nobody root."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    namespace: _Label = "podgate"  # pods and all that is theirs; it must be there, and nobody else's
    instance: _Label = "podgate"  # tells the pods of several controllers in one namespace apart
    kubeconfig: str = ""  # empty: the service account of the Kubernetes pod we run in
    context: str = ""  # of the kubeconfig; empty: its current one
    images: Mapping[str, _Image] = field(default_factory=dict)  # by template: instead of the image it names
    allow: tuple[_Images, ...] = ()  # patterns of further images, for `--template image`
    require_digest: bool = False
    pull_secrets: tuple[_Label, ...] = ()  # Secrets of the namespace with a registry's credentials
    storage_class: str = ""  # empty: the cluster's default
    disk: _Quantity = "5Gi"
    ram: _Quantity = "1Gi"  # the most a pod may have, unless its owner says otherwise
    ram_request: _Quantity = "256Mi"  # what is kept for it
    cpus: _Quantity = "2"
    cpus_request: _Quantity = "50m"
    scratch: _Quantity = "2Gi"  # what it may write beside its volume
    most_disk: _Quantity = "100Gi"  # owners may say no more than these
    most_ram: _Quantity = "16Gi"
    most_cpus: _Quantity = "8"
    most_gpus: Annotated[int, Field(ge=0, le=99)] = 0
    policies_enforced: bool = False  # the cluster's network heeds NetworkPolicies: said by who knows, not guessed
    allow_root: bool = False  # containers may run as root
    gateways_namespace: _Label | Literal[""] = ""  # where gateways and controller run; empty: the pods' namespace
    reach: Literal["pod", "service"] = "pod"  # what gateways dial: the pod's own address, or its Service by name
    cluster_domain: str = "cluster.local"
    listen: str = "0.0.0.0"  # noqa: S104  # what pods are told to listen on; "::" where there is no IPv4
    queues: Mapping[str, Queue] = field(default_factory=dict)


def read_settings(path: Path) -> ClusterSettings:
    """Read `kubernetes.toml`; without one the defaults hold. Raises SettingsProblem."""
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        content = {}
    except OSError as error:
        raise SettingsProblem(f"kubernetes: {path}: {error.strerror}; mend its owner or mode") from error
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise SettingsProblem(f"kubernetes: {path} is not valid TOML: {error}") from error
    try:
        return TypeAdapter(ClusterSettings).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        told = "there is no such setting" if first["type"] == "unexpected_keyword_argument" else first["msg"]
        raise SettingsProblem(f"kubernetes: {path}: {where}: {told}") from None
