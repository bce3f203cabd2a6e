"""What survives: pods, people, what proves who they are and what they did, in a SQLite file or a PostgreSQL server.

    schema      the tables
    migrations  how a store of an earlier version becomes one of this version (Alembic)
    database    what both databases have in common: transactions, failures, migration
    sqlite      the file: its mode, its pragmas
    postgres    the server: its limits, its errors
    turns       how replicas that share a server change things one after the other
    pods        pods and their events: rows, and values made of them
    sharing     what pods give to whom, written with the pod
    directory   people, and the statements that change them
    journal     the audit log
    presence    which gateways follow which replica of the controller
    store       Store: every change of it is one transaction

The store is synchronous and used by one thread at a time; `controller.desk` takes it there.
"""
