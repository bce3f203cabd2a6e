"""How a Postgres client inside TLS gets to its database:

    opening         the walk: what it asks for, who it is, whether it may, its database, the relay
    naming          which pod it means, where TLS did not tell
    identifying     who it is: an API token by SCRAM or in clear text, a web token, a client certificate
    scram           the arithmetic of SCRAM, as a server to clients and as a client of databases
    judging         whether it may, and with which login of the database (pure)
    client          what it says, message by message
    database        the other side: logging in, or passing the client's own login on
    leaving         what becomes of the database's work when the client has left

What is sent to cancel a query names the worker that owns the session (`gateway.cancelling`).
"""
