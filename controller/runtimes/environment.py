"""What every runtime tells a pod by variables, and which of its owner's are taken."""

import re
from collections.abc import Mapping

from controller.runtimes import Launch, RuntimeFailure
from controller.templates import Template

LONGEST_VARIABLE = 200  # characters of a name; a key of a Kubernetes Secret has 253
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_variables(env: Mapping[str, str]) -> None:
    """Refuse variables that cannot be set. Raises RuntimeFailure."""
    for name, value in env.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise RuntimeFailure(f"env: {name!r} cannot be set: expected letters, digits and '_', and no NUL after it")
        if len(name) > LONGEST_VARIABLE:
            raise RuntimeFailure(
                f"env: {name[:20]!r}… cannot be set: its name has more than {LONGEST_VARIABLE} characters"
            )


def told(pod: Launch, template: Template, parameters: Mapping[str, str]) -> dict[str, str]:
    """Give what stands above the owner's variables on every runtime."""
    return {
        **{f"PARAM_{name.upper()}": value for name, value in parameters.items()},
        "POD_NAME": pod.name,
        "POD_DATABASE": template.database(pod.name),
    }
