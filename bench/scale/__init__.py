"""A simulation: does a controller keep up with thousands of pods that change all the time, and where does it end?

Real: the controller, a process of its own with its own store, and what gateways do to follow it (the feed's client, the
judgement of documents, the table). Not real: the cluster, which is a double of an API server with a pretend kubelet, in
which no pod runs; and the gateways' workers, so that nobody connects. What it cannot tell is how fast a cluster is.

plan        how many pods, gateways and changes a second
population  the pods there are before: the same in the controller's store and in the cluster
cluster     the double: objects, and what controllers and kubelet of a cluster would do with them
objects     what they look like (pure)
apiserver   the double's HTTP: lists in pages, watches, applies, patches, deletes
gateways    gateways that only follow and acknowledge
changes     changes at a rate, by the API and by hand in the cluster, as people and programs make them
marks       from when a change was visible to when every gateway had it (pure)
processes   the controller and the three others, each started on its core
conduct     goes through the plan; `questions` are what is measured
report      writes the page, bench.pictures.growth draws
kept        the file of all samples
command     `podgate bench scale`
"""
