{{/* Names, labels, the network's description. */}}

{{/* What selects the pods of a component. Takes {root, component}, and organisation where it is of one. */}}
{{- define "fabric.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .organisation }}
consilo.io/organisation: {{ . }}
{{- end }}
{{- with .node }}
consilo.io/node: {{ . }}
{{- end }}
{{- end }}

{{/* Takes {root, component}, and organisation or node where it is of one. */}}
{{- define "fabric.labels" -}}
{{ include "fabric.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: consilo
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Name and labels of a resource. Takes {root, component, name}, and organisation or node where it is of one. */}}
{{- define "fabric.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "fabric.labels" . | nindent 2 }}
{{- end }}

{{/* Takes {root, image}. */}}
{{- define "fabric.image" -}}
image: {{ printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) }}
imagePullPolicy: {{ .image.pullPolicy }}
{{- end }}

{{/* What the jobs are told, as JSON. */}}
{{- define "fabric.network" -}}
{{- $organisations := list -}}
{{- range .Values.organisations -}}
{{- $organisations = append $organisations (dict "msp" .msp "name" .name) -}}
{{- end -}}
{{- dict "namespace" .Release.Namespace "channel" .Values.channel "orderers" (int .Values.orderers) "batch_timeout_ms" (int .Values.batchTimeoutMs) "sequence" (int .Values.chaincode.sequence) "organisations" $organisations | toJson -}}
{{- end }}
