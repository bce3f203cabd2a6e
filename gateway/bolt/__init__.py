"""How a Bolt client inside TLS gets to its database:

    arriving        how it came: by Bolt itself, by Bolt in a WebSocket, or for what the same server says over HTTP
    opening         the walk: the version, who it is, whether it may, its database, the relay
    passing         a client's own login at its database
    versions        which version a database speaks, known before anybody may talk to it
    identifying     who it is: an API token or a web token in HELLO or LOGON, a client certificate
    database        the other side: logging in there
    watching        what is looked at in the relay: routing tables, other logins within a session, WebSocket frames
    again           judging those other logins
    leaving         how long a session has its place when its client has left

A public endpoint's clients log in to the database themselves: if they want no routing tables, nothing of them is looked
at from then on. Where the gateway logs in, it looks at what goes up for as long as the link lasts.
"""
