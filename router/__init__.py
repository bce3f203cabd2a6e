"""The decisions of Podgate, pure and without I/O: which host name leads where, and who may go there.

    hostname  what a host name, a pod name and an endpoint name may look like, and how one is made of the others
    access    the five access levels and the one function that applies them
    model     Route: what a gateway knows about one host name
    table     RouteTable: the immutable set of routes, looked up once per connection
    snapshot  the documents in which routes travel: a snapshot, then deltas, each route judged alone

Everything here is standard library only, so that it can be tested by tables and read in one sitting.
"""
