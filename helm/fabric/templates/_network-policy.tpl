{{/* The NetworkPolicy of a part, from the table of flows. Takes {root, flows, component, name}, of an organisation's part
     organisation and the namespace of its gateways, and hook for one that is there before the release. */}}
{{- define "fabric.networkPolicy" -}}
{{- $part := . -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "fabric.metadata" . | nindent 2 }}
  {{- if .hook }}
  {{- include "fabric.materialHook" . | nindent 2 }}
  {{- end }}
spec:
  podSelector:
    matchLabels:
      {{- include "fabric.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- $ingress := list -}}
  {{- $egress := list -}}
  {{- range .flows -}}
  {{- $flow := . -}}
  {{- if eq .to $part.component -}}
  {{- $from := list -}}
  {{- range .from -}}
  {{- $from = concat $from (include "fabric.party" (dict "part" $part "party" . "own" $flow.own) | fromYamlArray) -}}
  {{- end -}}
  {{- if $from -}}
  {{- $ingress = append $ingress (dict "from" $from "ports" (include "fabric.ports" (dict "part" $part "flow" .) | fromYamlArray)) -}}
  {{- end -}}
  {{- end -}}
  {{- if has $part.component .from -}}
  {{- $to := include "fabric.party" (dict "part" $part "party" .to "own" .own) | fromYamlArray -}}
  {{- if $to -}}
  {{- $egress = append $egress (dict "to" $to "ports" (include "fabric.ports" (dict "part" $part "flow" .) | fromYamlArray)) -}}
  {{- end -}}
  {{- end -}}
  {{- end }}
  ingress: {{- if $ingress }}{{ toYaml $ingress | nindent 4 }}{{ else }} []{{ end }}
  egress: {{- if $egress }}{{ toYaml $egress | nindent 4 }}{{ else }} []{{ end }}
{{- end }}

{{/* A party of the table as NetworkPolicyPeers. Takes {part, party, own}. */}}
{{- define "fabric.party" -}}
{{- $policy := .part.root.Values.networkPolicy -}}
{{- if eq .party "gateways" -}}
{{- list (dict "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" .part.namespace)) "podSelector" (dict "matchLabels" $policy.gatewayLabels)) | toYaml -}}
{{- else if eq .party "monitoring" -}}
{{- $policy.monitoring | toYaml -}}
{{- else if eq .party "dns" -}}
{{- $policy.dns.to | toYaml -}}
{{- else if eq .party "api-server" -}}
{{- $policy.apiServer.to | toYaml -}}
{{- else -}}
{{- $selector := dict "root" .part.root "component" .party "organisation" (ternary .part.organisation "" (default false .own)) -}}
{{- list (dict "podSelector" (dict "matchLabels" (include "fabric.selector" $selector | fromYaml))) | toYaml -}}
{{- end -}}
{{- end }}

{{/* The ports of a flow. Takes {part, flow}. */}}
{{- define "fabric.ports" -}}
{{- $policy := .part.root.Values.networkPolicy -}}
{{- if eq .flow.to "dns" -}}
{{- list (dict "port" (int $policy.dns.port) "protocol" "UDP") (dict "port" (int $policy.dns.port) "protocol" "TCP") | toYaml -}}
{{- else -}}
{{- $ports := list -}}
{{- range ternary $policy.apiServer.ports .flow.ports (eq .flow.to "api-server") -}}
{{- $ports = append $ports (dict "port" (int .) "protocol" "TCP") -}}
{{- end -}}
{{- $ports | toYaml -}}
{{- end -}}
{{- end }}
