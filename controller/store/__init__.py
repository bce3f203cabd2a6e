"""What survives: pods, people, what proves who they are and what they did, in one SQLite file.

    schema      the tables
    migrations  how a file of an earlier version becomes one of this version (Alembic)
    database    opening the file: its mode, its pragmas, its migration
    sharing     what pods give to whom, written with the pod
    directory   people, and the statements that change them
    journal     the audit log
    store       Store: every change of it is one transaction

The store is synchronous and used by one thread at a time; `controller.desk` takes it there.
"""
