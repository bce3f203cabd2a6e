"""What survives: pods, their events and the tokens, in one SQLite file.

    schema      the tables
    migrations  how a file of an earlier version becomes one of this version (Alembic)
    database    opening the file: its mode, its pragmas, its migration
    store       Store: every change of it is one transaction

The store is synchronous and used by one thread at a time; `controller.pods` takes it there.
"""
