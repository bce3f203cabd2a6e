"""/v1/orphans: what is left in the runtime of pods that nobody knows."""

from fastapi import APIRouter

from controller.api.access import Called, need_admin
from controller.api.documents import timestamp
from controller.api.poddocuments import OrphanDocument, OrphanList
from controller.api.problems import Problem
from controller.control import Control
from controller.orphans import StillThere, UnknownOrphan, find_orphans, remove_orphan


def orphans_router(control: Control) -> APIRouter:
    """Make the routes about orphans, for administrators."""
    router = APIRouter(prefix="/v1", tags=["orphans"])

    @router.get("/orphans")
    async def list_orphans(caller: Called) -> OrphanList:
        """List what the runtime has and no pod is behind."""
        need_admin(caller)
        found = await find_orphans(control)
        return OrphanList(
            orphans=[
                OrphanDocument(key=key, stage=each.stage.value, since=timestamp(each.since), message=each.message)
                for key, each in sorted(found.items())
            ]
        )

    @router.delete("/orphans/{key}", status_code=204)
    async def delete_orphan(key: str, caller: Called) -> None:
        """Take one away, with its data; answered when it is gone."""
        need_admin(caller)
        try:
            await remove_orphan(control, key, caller.by)
        except UnknownOrphan:
            raise Problem(404, f"there is no orphan {key!r}; see podgate orphans") from None
        except StillThere as still:
            raise Problem(504, str(still)) from None

    return router
