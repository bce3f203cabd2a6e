"""What callers are told of a pod."""

from controller.addresses import credentials_of, uris_of
from controller.api.documents import timestamp
from controller.api.poddocuments import CredentialDocument, EndpointDocument, PodDocument
from controller.control import Control
from controller.identity import Caller
from controller.model import Pod, Want
from controller.templates import TemplateEndpoint
from router.access import Action, may
from router.hostname import host_of
from router.model import Protocol


def pod_document(control: Control, pod: Pod, caller: Caller) -> PodDocument:
    """Tell what a caller may know of a pod: who may have its credentials is told them, and the URIs."""
    if not may(Action.CREDENTIALS, caller.level_on(pod.key, pod.levels)):
        return pod_summary(control, pod)
    template = control.templates.get(pod.template)
    given = credentials_of(pod, template).items()
    credentials = {level: CredentialDocument(user=user, password=password) for level, (user, password) in given}
    uris = uris_of(pod, template, control.settings, caller.name)
    return pod_summary(control, pod).model_copy(update={"credentials": credentials, "uris": uris})


def pod_summary(control: Control, pod: Pod) -> PodDocument:
    """Tell what everybody may know who may see the pod."""
    template = control.templates.get(pod.template)
    return PodDocument(
        name=pod.name,
        key=pod.key,
        template=pod.template,
        access=str(pod.access),
        owner=pod.owner,
        want="on" if pod.want is Want.ON else "off",
        phase=pod.status.phase,
        message=pod.status.message,
        since=timestamp(pod.status.since),
        restarts=pod.status.restarts,
        created_at=timestamp(pod.created_at),
        routed=control.routed(pod),
        endpoints=[endpoint_document(control, pod, each) for each in (template.endpoints if template else ())],
    )


def endpoint_document(control: Control, pod: Pod, endpoint: TemplateEndpoint) -> EndpointDocument:
    """Tell how an endpoint of a pod is reached and used."""
    settings = pod.settings_of(endpoint.name)
    return EndpointDocument(
        name=endpoint.name,
        host=host_of(pod.name, endpoint.name, control.settings.domain),
        port=control.settings.public_port,
        protocol=endpoint.protocol,
        database=_database(control, pod, endpoint),
        access=str(pod.access_of(endpoint.name)),
        ip_allow=[str(network) for network in settings.ip_allow],
        certificates=settings.certificates,
        web=settings.web.to_document(),
        hosts=list(settings.hosts),
        most_links=settings.most_links,
        most_links_of_user=settings.most_links_of_user,
    )


def _database(control: Control, pod: Pod, endpoint: TemplateEndpoint) -> str | None:
    template = control.templates.get(pod.template)
    speaks = endpoint.protocol in (Protocol.POSTGRES, Protocol.BOLT)
    return template.database(pod.name) if template and speaks else None
