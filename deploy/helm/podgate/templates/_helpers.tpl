{{- define "podgate.name" -}}
{{- if contains "podgate" .Release.Name -}}{{ .Release.Name }}{{- else -}}{{ .Release.Name }}-podgate{{- end -}}
{{- end -}}

{{- define "podgate.labels" -}}
app.kubernetes.io/name: podgate
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: podgate
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{- define "podgate.selector" -}}
app.kubernetes.io/name: podgate
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: podgate
{{- end -}}

{{- define "podgate.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end -}}

{{/* Of a Kubernetes pod: nobody root, and the group that Secrets are readable for. */}}
{{- define "podgate.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "podgate.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "podgate.spread" -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: {{ ternary $.root.Values.topologySpread "ScheduleAnyway" (eq $key "kubernetes.io/hostname") }}
  labelSelector:
    matchLabels:
      {{- include "podgate.selector" $ | nindent 6 }}
{{- end }}
{{- end -}}

{{- define "podgate.place" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* An address to listen on, which IPv6 has in brackets. */}}
{{- define "podgate.at" -}}
{{- if contains ":" .host }}[{{ .host }}]{{ else }}{{ .host }}{{ end }}:{{ .port }}
{{- end -}}

{{/* What every gateway is told: the domain, where people sign in, where it listens, and its certificate. */}}
{{- define "podgate.gatewayArgs" -}}
- --home=$(PODGATE_HOME)
- --name=$(POD_NAME)
- --domain={{ .Values.domain }}
{{- with .Values.consoleHost }}
- --console-host={{ . }}
{{- end }}
- --public-port={{ .Values.publicPort }}
- --listen={{ include "podgate.at" (dict "host" .Values.listen "port" 8443) }}
- --health={{ include "podgate.at" (dict "host" .Values.listen "port" 9443) }}
{{- if .Values.tls.secret }}
- --certificate=/etc/podgate/tls/tls.crt
- --key=/etc/podgate/tls/tls.key
{{- end }}
{{- end -}}

{{/*
Asked by the kubelet: whether it takes connections, and is alive. Not /ready, which says no when a drain is only told:
a Service knows that from the deletion, and with externalTrafficPolicy Local drops what comes to a machine whose only
gateway is going and not ready (KEP-1669), where balancers still send until they have looked again.
*/}}
{{- define "podgate.gatewayProbes" -}}
startupProbe:
  httpGet: { path: /live, port: health }
  periodSeconds: 2
  failureThreshold: 60
readinessProbe:
  httpGet: { path: /serving, port: health }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 1
livenessProbe:
  httpGet: { path: /live, port: health }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}

{{- define "podgate.dnsEgress" -}}
- ports: # wherever it is: on many clusters an address of the machine's
    - { port: 53, protocol: UDP }
    - { port: 53, protocol: TCP }
{{- end -}}

{{/* kubernetes.toml */}}
{{- define "podgate.runtime" -}}
{{- $ours := dict "namespace" .Values.pods.namespace "instance" .Release.Name -}}
{{- if ne .Values.pods.namespace .Release.Namespace -}}
{{- $_ := set $ours "gateways_namespace" .Release.Namespace -}}
{{- end -}}
{{- mergeOverwrite (deepCopy .Values.pods.settings) $ours | toToml | trim -}}
{{- end -}}

{{- define "podgate.env" -}}
- { name: PODGATE_HOME, value: /var/lib/podgate/home }
- name: POD_NAME
  valueFrom: { fieldRef: { apiVersion: v1, fieldPath: metadata.name } }
{{- end -}}

{{/* Asks the API whether it answers, over the socket that strangers' calls come by. */}}
{{- define "podgate.controllerProbe" -}}
exec:
  command:
    - python3
    - -ISc
    - |
      import os, socket, sys
      socket_name = {{ if .Values.controller.database.secret }}f"web-{os.environ['POD_NAME']}.sock"{{ else }}"web.sock"{{ end }}
      with socket.socket(socket.AF_UNIX) as api:
          api.settimeout(4)
          api.connect(os.path.join(os.environ["PODGATE_HOME"], "run", socket_name))
          api.sendall(b"GET /v1/healthz HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")
          sys.exit(b" 200" not in api.recv(64))
{{- end -}}

{{- define "podgate.metricsIngress" -}}
{{- with .Values.metrics.namespace -}}
- ports:
    - { port: 9443, protocol: TCP }
  from:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ . }}
{{- end }}
{{- end -}}

{{- define "podgate.podsEgress" -}}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ .Values.pods.namespace }}
      podSelector:
        matchLabels:
          app.kubernetes.io/managed-by: podgate
          app.kubernetes.io/component: pod
{{- end -}}
