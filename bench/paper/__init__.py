"""The studies that made this field measurable, repeated: what a service between client and database costs a query that
returns much, and whether connections that come in bursts are served in time.

plan       what is to be measured, how often, and in which order, so that drift hits every backend alike
questions  what samples of a query's time answer
backends   the ways to a database: none between, Podgate, HAProxy, Traefik, and what a user named by a URI
asking     queries that return much, with `limit` for clients that would wait for ever
graph      nodes by Bolt: the official Neo4j driver, and `boltbytes`, which only counts
rows       Postgres rows: psycopg, and libpq alone
arrivals   N connections at once and N a second, through Postgres and HTTP
conduct    goes through the plan, keeps every finished round, and goes on where it was stopped
added      what a backend adds, and the verdict beside the best peer
kept       the file of all samples; `report` writes the page, bench.pictures.trips and .shares draw
command    `podgate bench paper`
"""
