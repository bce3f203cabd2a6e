"""The Kubernetes runtime: each pod of ours is a StatefulSet of one, and all we know of it is what the cluster says.

    settings.py   what an operator decides: the namespace, which images, queues, how far gateways reach
    order.py      a launch, judged: template, parameters, image, place (pure)
    images.py     what an image's name means, and whether it is allowed (pure)
    container.py  the Kubernetes pod of an order (pure)
    manifests.py  the objects of an order (pure)
    access.py     where the cluster is and what to show it: the only file that knows the official client
    lines.py      connections to it, made anew when what shows who we are was renewed
    client.py     calls, by httpx: bounded in time and size, and repeated where that can help
    rights.py     what an account must be allowed (pure)
    watching.py   list and watch, for ever
    sinks.py      who is told what the watches bring
    mirror.py     what the watches brought, by the key of a pod (pure)
    seeing.py     from a StatefulSet, its Pod and what happened to them to `Observed` (pure)
    drift.py      which objects may not be any more as they were applied (pure)
    parts.py      what a pod needs beside its StatefulSet: applied, or let go of
    mending.py    what was deleted or changed by hand, applied again
    logs.py       what a pod wrote; following.py, stamped.py: without losing or repeating a line (pure)
    runtime.py    the protocol of controller.runtimes

Theory of operation. Nothing is remembered here: a pod's generation, its ports and when it was told to stop are
annotations of its StatefulSet, so that any controller, whoever was killed before it, sees the same. The StatefulSet is
made first, with no replica, and owns the rest (Service, Secret, ConfigMap, NetworkPolicy); it is given its replica and
its generation last, in one call: whatever fails before that is done again, and whatever happens after it is seen. To
stop is to take the replica away; the volume stays, for it belongs to nobody until `remove` deletes it by name.

What somebody deletes or changes is applied again: what can be watched without reading what is secret is watched, and
seen to at once; the rest, which is Secrets, now and then. A watch of full objects would cost more and tell no more; to
apply everything now and then alone would leave a pod without its NetworkPolicy open for as long.

The kubelet starts a container that ended by itself again, at once and then ever later. The first time that shows as a
pod that is starting, with the reason; once the kubelet waits (CrashLoopBackOff) no process is left, so it is EXITED,
and the reconciler starts it anew at its own pace, which is the same on every runtime.
"""
