"""The Kubernetes runtime: each pod of ours is a StatefulSet of one, and all we know of it is what the cluster says.

    settings.py   what an operator decides: the namespace, which images, queues, how far gateways reach
    order.py      a launch, judged: template, parameters, image, place (pure)
    images.py     what an image's name means, and whether it is allowed (pure)
    container.py  the Kubernetes pod of an order (pure)
    manifests.py  the objects of an order (pure)
    access.py     where the cluster is and what to show it: the only file that knows the official client
    client.py     calls, by httpx: bounded in time and size, and repeated where that can help
    watching.py   list and watch, for ever
    mirror.py     what the watches brought, by the key of a pod (pure)
    seeing.py     from a StatefulSet, its Pod and what happened to them to `Observed` (pure)
    runtime.py    the protocol of controller.runtimes

Theory of operation. Nothing is remembered here: a pod's generation, its ports and when it was told to stop are
annotations of its StatefulSet, so that any controller, whoever was killed before it, sees the same. The StatefulSet is
made first, with no replica, and owns the rest (Service, Secret, ConfigMap, NetworkPolicy); it is given its replica and
its generation last, in one call: whatever fails before that is done again, and whatever happens after it is seen. To
stop is to take the replica away; the volume stays, for it belongs to nobody until `remove` deletes it by name.

The kubelet starts a container that ended by itself again, at once and then ever later. The first time that shows as a
pod that is starting, with the reason; once the kubelet waits (CrashLoopBackOff) no process is left, so it is EXITED,
and the reconciler starts it anew at its own pace, which is the same on every runtime.
"""
