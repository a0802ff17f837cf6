{{/* What all pods share: they are restricted, and see no more of the cluster than they are given. */}}

{{/* Annotations and labels of a pod. Takes {root, component}, and extra labels. */}}
{{- define "consilo.podMetadata" -}}
labels:
  {{- include "consilo.labels" . | nindent 2 }}
  {{- with .extra }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Beginning of a pod's specification. Takes {root}, and serviceAccount, nodeSelector, tolerations. */}}
{{- define "consilo.podSpec" -}}
serviceAccountName: {{ .serviceAccount | default (include "consilo.fullname" .root) }}
automountServiceAccountToken: {{ .token | default false }}
# The variables that Kubernetes makes of Services would be taken for settings.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with merge (deepCopy (.nodeSelector | default dict)) .root.Values.scheduling.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat (.tolerations | default list) .root.Values.scheduling.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.scheduling.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Image and rights of a container. Takes {root}, and image (default: that of the services). */}}
{{- define "consilo.container" -}}
{{- $image := .image | default .root.Values.image -}}
image: {{ include "consilo.image" (dict "root" .root "image" $image) }}
imagePullPolicy: {{ $image.pullPolicy }}
# What a container says when it cannot start stands in the pod's status too.
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Variables from an object of settings. Takes {prefix, settings}. */}}
{{- define "consilo.settings" -}}
{{- $prefix := .prefix -}}
{{- range $name, $value := .settings }}
- name: {{ printf "%s%s" $prefix $name }}
  value: {{ ternary ($value | toJson) ($value | toString) (or (kindIs "map" $value) (kindIs "slice" $value) (kindIs "float64" $value)) | quote }}
{{- end }}
{{- end }}

{{/* A Secret as a volume. One that is missing keeps no pod from starting: its service says what is missing, and ends; it
is started again and again, and goes on once the Secret is there. Takes {name, secret}. */}}
{{- define "consilo.secretVolume" -}}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    optional: true
{{- end }}

{{/* Where it is mounted: so that a service that misses a file names Secret and key. Takes {name, secret}. */}}
{{- define "consilo.secretMount" -}}
- {name: {{ .name }}, mountPath: /secrets/{{ .secret }}, readOnly: true}
{{- end }}

{{/* Room for temporary files, in memory: some are keys. */}}
{{- define "consilo.temporary" -}}
- name: temporary
  emptyDir: {medium: Memory, sizeLimit: 64Mi}
{{- end }}

{{/* Probes of a service with /livez and /readyz. Takes {port}. */}}
{{- define "consilo.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: {{ .port }}}
  periodSeconds: 1
  failureThreshold: 120
livenessProbe:
  httpGet: {path: /livez, port: {{ .port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: 6
  failureThreshold: 2
{{- end }}

{{/* A member that acts by itself listens on no port; it says in a file whether it has its gateway. There is no liveness
probe: it ends by itself when it cannot go on. Takes nothing. */}}
{{- define "consilo.statusProbe" -}}
readinessProbe:
  exec:
    command: [sh, -c, 'read -r line < /status/status && echo "$line" && [ "$line" = connected ]']
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}
