"""The data plane: TLS connections in, pods' own protocols out.

The walk of one connection through the files:

    listening     a socket the supervisor binds and holds for each worker; `tuning` is what TCP is told
    loop          one epoll in one thread of the worker, which runs all that follows
    server        accepts; limits, of which `dropping` is the one by chance; the drain at the end
    connection    the phases of the opening, one after the other, under one time budget:
      waiting       what a phase may wait for
      balancing     whose connection it is, where a balancer is believed
      sniffing      looks at the first bytes without taking them
      starttls      from these to the ClientHello; Postgres asks for TLS first
      wire/         knows what they mean: TLS ClientHello, Postgres, Bolt, HTTP (no I/O)
      certificates  the leaf for the server name; `tls` shakes hands with it
      postgres/     logs Postgres clients in, and itself in to their databases
      bolt/         the same for Bolt; `ways`, `placing` and `dialogue` are what both need
      proof         who is calling: what was shown, and whom that makes them now; `audit` remembers
      admission     may they, where nothing else is looked at (`tcp`)
      web/          the HTTP engine: judges, rewrites and passes on each request (I/O: `opening`, `relaying`)
      upstream      dials the pod
      errors        why a connection is refused; `replies` says so in its own protocol, `parting` lets it read that
    link          what is known of an established connection
    relay         owns every link until both sides have ended; `openssl` is TLS without copies, `transform` what the
                  bytes of some links pass through, `resting` how long one that streams is left alone, `ending` how a
                  side's end is passed on
    services      what the connections of a worker share; `failures` counts wrong credentials
    upkeep        looks at each link now and then, for what no event tells
    revocation    ends links whose access was taken back

Over workers and replicas: `cancelling` holds Postgres sessions and does what their keys ask for, `quota` counts links
that have a limit; both ask the supervisor by `asking`. There `passing` brings a cancel to its owner, to other replicas
by `peers`, which know each other by `identity`.

The walk of a route: `sources` follows a file, `following` a controller; `routing`, in the `supervisor`, judges each
document once and passes it to every `process` through its `control` channel; the `worker` there swaps its table in one
assignment and says so. How the replica stands the controller is told by `standing`, whether it is ready a balancer by
`health`, which gives Prometheus its `metrics` as well. `accepting` takes what replicas and balancers ask. `lastgood`
keeps the table on disk, `leaves` gives out certificates, `enrolment` has a controller elsewhere sign them, `options` is
what a gateway can be told. `logs` writes log lines many at once, `wheel` finds the links that are silent too long.
"""
