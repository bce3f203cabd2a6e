"""Several controllers that are replicas of each other, over one PostgreSQL database. One of them leads.

    leadership   who leads: an advisory lock on a connection of its own; what only a leader may do
    hearing      the session by which a replica hears of changes, and has its name to itself
    desk         turns at the store, and learning what other replicas changed
    feed         routes in versions that mean the same at every replica
    place        where pods run, which is the same for all replicas
    pointing     the socket that commands and gateways of a home use, whichever replica it is
    gateways     which gateways follow which replica, known to all
    service      one life of a replica: what all do, and what the leader does beside it

All replicas answer the API, from memory that follows the store. The leader alone drives the runtime and writes what it
sees of pods; every such write carries its term, and the store takes none of an earlier one (controller.store.turns).
"""
