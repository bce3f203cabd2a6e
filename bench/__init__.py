"""Benchmarks: Podgate side by side with its peers, one file for each question asked. They measure and assert nothing.

relay      what passing bytes costs once a connection stands
connect    what a new connection costs, full or resumed, and whether many at once get through
postgres   what a proxy costs a Postgres client
http       what an HTTP request costs
mixed      whether small messages stay quick beside bulk and crowds
idle       how much memory an idle connection keeps
workers    what a second worker costs, and how evenly the kernel shares connections out
routes     what a lookup and a change cost in a table of 100,000 routes
ready      how long from a pod's readiness, and from a change of its route, to the first answer through the gateway
pod        what your own endpoint costs its clients (`endpoint` knows how to talk to it)
soak       whether memory and descriptors stay flat under a million connections and minutes of clients of all manners:
           `soaking` loads, `watch` samples, `flatness` judges, `soaked` writes

paper      the studies of this field, repeated: what is added to a query that returns much, and how many of those who
           arrive at once are served in time
scale      whether a controller keeps up with thousands of pods that change all the time: a simulation

How a run goes: `cli` takes the command, `run` sees what is here, `rounds` starts a fresh `process` for every round, its
configuration from `peers/`, and hands the experiment a Round to measure with `load/`. `record` keeps every sample;
`targets`, `tables` and `pictures/` say what they mean, now or later from the JSON alone; `showing` is what the commands
have in common.

podgate bench run [EXPERIMENT…] [--peers …] [--runs N] [--seconds S] [--out DIR] [--json]
podgate bench report DIR
podgate bench pod NAME
podgate bench paper [--only graph|rows|arrivals] [--runs N] [--sizes …] [--uri NAME=bolt+s://… --auth NAME=USER]
podgate bench scale [--pods N,N] [--gateways N] [--rate CHANGES] [--seconds S] [--store …] [--out DIR] [--json]
podgate bench soak [--connections N] [--minutes M] [--workers N] [--out DIR] [--json]
"""
