{{/* NetworkPolicies from files/flows.yaml. */}}

{{/* The pods that policies are for, as a JSON list of {party, suffix, labels} and `silo` for those of one silo only. */}}
{{- define "consilo.parties" -}}
{{- $root := . -}}
{{- $parties := list -}}
{{- $components := list "gateway" "silo" "test" "cli" -}}
{{- if ne .Values.store.kind "s3" }}{{ $components = append $components "store" }}{{ end -}}
{{- range list "aggregator" "verifier" "demo" -}}
{{- if (get $root.Values .).enabled }}{{ $components = append $components . }}{{ end -}}
{{- end -}}
{{- if .Values.registration.enabled }}{{ $components = append $components "register" }}{{ end -}}
{{- range $components -}}
{{- $parties = append $parties (dict "party" . "suffix" . "labels" (include "consilo.selector" (dict "root" $root "component" .) | fromYaml)) -}}
{{- end -}}
{{- range include "consilo.silos" . | fromJsonArray -}}
{{- if eq .trainer.mode "job" -}}
{{- $silo := include "consilo.selector" (dict "root" $root "component" "silo") | fromYaml -}}
{{- $_ := set $silo "consilo/silo" .name -}}
{{- $job := include "consilo.selector" (dict "root" $root "component" "training-job") | fromYaml -}}
{{- $_ := set $job "consilo/trains-for" .name -}}
{{- $parties = append $parties (dict "party" "job-silo" "suffix" (printf "silo-%s-jobs" .name) "labels" $silo "silo" .name) -}}
{{- $parties = append $parties (dict "party" "training-job" "suffix" (printf "jobs-of-%s" .name) "labels" $job "silo" .name) -}}
{{- end -}}
{{- end -}}
{{- $parties | toJson -}}
{{- end }}

{{/* Where the far side of a flow is, as a JSON list of NetworkPolicyPeers; empty when there is nobody. Takes {root, name,
silo}: name of a party or place, and the silo of the near side, if it is of one only. */}}
{{- define "consilo.farSide" -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- $peers := list -}}
{{- $components := dict "members" (list "aggregator" "verifier" "silo" "cli") "gateways" (list "gateway") "stores" (list "store") -}}
{{- if hasKey $components .name -}}
{{- with $policy.consortium.namespaces -}}
{{- $namespaces := dict "matchExpressions" (list (dict "key" "kubernetes.io/metadata.name" "operator" "In" "values" .)) -}}
{{- $component := dict "key" "app.kubernetes.io/component" "operator" "In" "values" (get $components $.name) -}}
{{- $pods := dict "matchLabels" (dict "app.kubernetes.io/name" $.root.Chart.Name) "matchExpressions" (list $component) -}}
{{- $peers = list (dict "namespaceSelector" $namespaces "podSelector" $pods) -}}
{{- end -}}
{{- else if eq .name "proxies" -}}{{ $peers = $policy.proxies }}
{{- else if eq .name "outside" -}}{{ $peers = $policy.outside.to }}
{{- else if eq .name "peers" -}}
{{- if eq .root.Values.ledger.kind "fabric" }}{{ $peers = $policy.peers }}{{ end -}}
{{- else if eq .name "dns" -}}{{ $peers = $policy.dns.to }}
{{- else if eq .name "api-server" -}}{{ $peers = $policy.apiServer.to }}
{{- else -}}
{{- range include "consilo.parties" .root | fromJsonArray -}}
{{- $isOther := and .silo $.silo (ne .silo $.silo) -}}
{{- if and (eq .party $.name) (not $isOther) -}}
{{- $peers = append $peers (dict "podSelector" (dict "matchLabels" .labels)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $peers | toJson -}}
{{- end }}

{{/* Ports of a flow, as a JSON list of NetworkPolicyPorts. Takes {root, flow}. */}}
{{- define "consilo.portsOf" -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- $numbers := .flow.ports | default list -}}
{{- $protocols := list "TCP" -}}
{{- if eq .flow.to "outside" -}}{{ $numbers = $policy.outside.ports }}
{{- else if eq .flow.to "api-server" -}}{{ $numbers = $policy.apiServer.ports }}
{{- else if eq .flow.to "dns" -}}{{ $numbers = list $policy.dns.port }}{{ $protocols = list "UDP" "TCP" }}
{{- else if eq .flow.to "peers" -}}
{{- range .root.Values.ledger.fabric.peers }}{{ $numbers = append $numbers (regexFind "[0-9]+$" .address | int) }}{{ end -}}
{{- end -}}
{{- $ports := list -}}
{{- range $number := $numbers | uniq -}}
{{- range $protocols }}{{ $ports = append $ports (dict "port" (int $number) "protocol" .) }}{{ end -}}
{{- end -}}
{{- $ports | toJson -}}
{{- end }}

{{/* The specification of a party's NetworkPolicy. Takes {root, party, labels, silo}. */}}
{{- define "consilo.policySpec" -}}
{{- $root := .root -}}
{{- $ingress := list -}}
{{- $egress := list -}}
{{- range $flow := (.root.Files.Get "files/flows.yaml" | fromYaml).flows -}}
{{- if eq $flow.to $.party -}}
{{- $from := list -}}
{{- range $flow.from -}}
{{- $from = concat $from (include "consilo.farSide" (dict "root" $root "name" . "silo" $.silo) | fromJsonArray) -}}
{{- end -}}
{{- if $from -}}
{{- $ingress = append $ingress (dict "from" $from "ports" (include "consilo.portsOf" (dict "root" $root "flow" $flow) | fromJsonArray)) -}}
{{- end -}}
{{- end -}}
{{- if has $.party $flow.from -}}
{{- $to := include "consilo.farSide" (dict "root" $root "name" $flow.to "silo" $.silo) | fromJsonArray -}}
{{- if $to -}}
{{- $egress = append $egress (dict "to" $to "ports" (include "consilo.portsOf" (dict "root" $root "flow" $flow) | fromJsonArray)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
podSelector:
  matchLabels:
    {{- toYaml .labels | nindent 4 }}
policyTypes: [Ingress, Egress]
{{- with $ingress }}
ingress:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $egress }}
egress:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
