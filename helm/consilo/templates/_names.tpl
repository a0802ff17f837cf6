{{/* Names, labels, addresses. */}}

{{- define "consilo.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* What selects the pods of a component. Takes {root, component}. */}}
{{- define "consilo.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Takes {root, component}. */}}
{{- define "consilo.labels" -}}
{{ include "consilo.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: consilo
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Name and labels of a resource. Takes {root, component}, and name where it is not that of the component. */}}
{{- define "consilo.metadata" -}}
name: {{ .name | default (printf "%s-%s" (include "consilo.fullname" .root) .component) }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "consilo.labels" . | nindent 2 }}
{{- end }}

{{/* Takes {root, image}. */}}
{{- define "consilo.image" -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) -}}
{{- end }}

{{- define "consilo.gatewayHost" -}}
{{- printf "%s-gateway.%s.svc:8080" (include "consilo.fullname" .) .Release.Namespace -}}
{{- end }}

{{- define "consilo.gatewayUrl" -}}
{{- printf "http://%s" (include "consilo.gatewayHost" .) -}}
{{- end }}

{{- define "consilo.storePort" -}}
{{- ternary 7070 8090 (eq .Values.store.kind "versitygw") -}}
{{- end }}

{{/* Base URL of the store, as all members reach it. */}}
{{- define "consilo.storeUrl" -}}
{{- if eq .Values.store.kind "s3" -}}
{{- .Values.store.s3.publicEndpointUrl -}}
{{- else -}}
{{- .Values.store.publicUrl | default (printf "http://%s-store.%s.svc:%s" (include "consilo.fullname" .) .Release.Namespace (include "consilo.storePort" .)) -}}
{{- end -}}
{{- end }}

{{/* `host` or `host:port` of the store, for its registration. */}}
{{- define "consilo.storeHost" -}}
{{- $url := urlParse (include "consilo.storeUrl" .) -}}
{{- if and (eq .Values.store.kind "s3") (eq .Values.store.s3.addressing "virtual") -}}
{{- printf "%s.%s" .Values.store.s3.bucket $url.host -}}
{{- else -}}
{{- $url.host -}}
{{- end -}}
{{- end }}

{{- define "consilo.ledgerName" -}}
{{- if eq .Values.ledger.kind "fabric" -}}{{ .Values.ledger.fabric.channel }}{{- else -}}{{ .Values.ledger.embedded.name }}{{- end -}}
{{- end }}
