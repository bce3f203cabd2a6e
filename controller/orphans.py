"""Orphans: what is left in the runtime of pods that are in no store, as after a backup from before them came back.

A runtime tells of nothing but what is ours: directories of this home, objects with this controller's labels. They are
found and told; who says so by name has one taken away, with its data. Nothing is ever taken away otherwise.
"""

from collections.abc import Mapping

import trio

from controller.control import Control
from controller.identity import By, Conflict
from controller.runtimes import Observed, RuntimeFailure, Stage

STOP_GRACE = 30.0  # seconds an orphan's processes have to end
PATIENCE = 20.0  # seconds until whoever wants it gone is told to ask again; commands wait for 30
LOOK_AGAIN_AFTER = 0.5  # seconds
ANSWER_LIMIT = 5.0  # seconds until the runtime has looked


class UnknownOrphan(Exception):
    """There is nothing of this key in the runtime."""


class StillThere(Exception):
    """It is being taken away; the text says how far that is."""


async def find_orphans(control: Control) -> Mapping[str, Observed]:
    """Give what belongs to no pod, by key. Raises Conflict where it cannot be seen."""
    leader, replica = control.standing().leader, control.settings.replica
    if replica and leader != replica:
        known = f": {leader}" if leader else ""
        raise Conflict(f"this controller does not lead, so it sees no pods; ask the one that does{known}")
    with trio.move_on_after(ANSWER_LIMIT):
        seen = await control.runtime.observe()
        return {key: each for key, each in seen.items() if control.pods.get(key) is None}
    raise Conflict("the runtime has not looked yet; try again in a moment")


async def remove_orphan(control: Control, key: str, by: By) -> None:
    """Take away what is left under a key. Raises UnknownOrphan, Conflict, StillThere, StoreFailure."""
    found = (await find_orphans(control)).get(key)
    if found is None:
        raise UnknownOrphan(key)
    audit = control.people.audit
    await audit.write([audit.entry(by, "delete orphan", detail=key)])
    problem = "it has not ended yet"
    with trio.move_on_after(PATIENCE):
        while found is not None:
            try:
                if found.stage is Stage.EXITED:
                    await control.runtime.remove(key)
                elif found.stage is not Stage.STOPPING:
                    await control.runtime.stop(key, STOP_GRACE)
            except RuntimeFailure as failure:
                problem = str(failure)
            found = (await find_orphans(control)).get(key)
            if found is not None:
                await trio.sleep(LOOK_AGAIN_AFTER)
        return
    raise StillThere(f"{key} is being taken away, but is still there: {problem}; ask again")
