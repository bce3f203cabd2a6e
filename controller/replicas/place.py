"""Where pods of a shared store run, which the store knows: in one home if they are processes, or in a cluster.

A replica that would run them elsewhere would start them all anew, empty, while those of before run on. So it does not
start, until somebody who knows that the home of before is lost says that this one takes its place.
"""

import logging

from sqlalchemy import URL

from controller.home import ADOPT, HomeProblem, ensure_tokens, identity_of, locked, prepare_home
from controller.settings import KUBERNETES, Settings
from controller.store.store import Store

_HOME = "home "  # and its identity

log = logging.getLogger("controller.replicas")


def place_of(settings: Settings) -> str:
    """Tell where this replica runs pods, in the store's words. Raises HomeProblem."""
    return KUBERNETES if settings.runtime == KUBERNETES else _HOME + identity_of(settings.home)


def settle(settings: Settings, store: Store) -> str:
    """See that pods run where this replica runs them, and give where. Raises HomeProblem and StoreFailure."""
    own = place_of(settings)
    known = store.claim(own)
    if known == own:
        return own
    if own == KUBERNETES:
        where, cure = "as processes in a home", f"leave out --runtime {KUBERNETES} and give that home"
    elif known == KUBERNETES:
        where, cure = "in a Kubernetes cluster", f"give --runtime {KUBERNETES}"
    else:
        where, cure = "in another home", "run this replica in that one, on its machine"
    raise HomeProblem(
        f"home: pods of {store.name} run {where}, and would be started anew here, empty; {cure}. "
        f"Only if they are lost for good: podgate controller {ADOPT}, once, with the same options"
    )


def adopt(settings: Settings, url: URL) -> None:
    """Have pods run where this replica runs them, and let the home's tokens in, from now on. Raises HomeProblem and
    StoreFailure.
    """
    prepare_home(settings.home)
    with locked(settings.home, settings.replica), Store(url) as store:
        leader = store.move(place_of(settings))
        if leader:
            raise HomeProblem(
                f"home: replica {leader!r} leads, and runs the pods of {store.name} elsewhere; "
                f"end all replicas there first, and their pods if you can"
            )
        ensure_tokens(settings.home, store, anew=True)
        where = "in the cluster" if settings.runtime == KUBERNETES else f"in {settings.home}"
        log.info("home: pods of %s run %s from now on; start replicas without %s", store.name, where, ADOPT)
