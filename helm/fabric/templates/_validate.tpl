{{/* Values that contradict each other, each told in a sentence. What the schema can tell is not here. */}}
{{- define "fabric.validate" -}}
{{- $msps := dict -}}
{{- $names := dict -}}
{{- range .Values.organisations -}}
{{- if eq .msp "Orderer" -}}
{{- fail "organisations: Orderer is the MSP id of the orderers' organisation, so no other can have it." -}}
{{- end -}}
{{- if has .name (list "orderers" "nodes") -}}
{{- fail (printf "organisations: an organisation cannot have the name %s, which the orderers' objects have." .name) -}}
{{- end -}}
{{- if hasKey $msps .msp -}}
{{- fail (printf "organisations: the MSP id %s is there twice; each organisation has its own." .msp) -}}
{{- end -}}
{{- if hasKey $names .name -}}
{{- fail (printf "organisations: the name %s is there twice; each organisation has its own." .name) -}}
{{- end -}}
{{- $_ := set $msps .msp true -}}
{{- $_ := set $names .name true -}}
{{- end -}}
{{- if not (mod (int .Values.orderers) 2) -}}
{{- fail (printf "orderers: %d orderers bear the loss of no more than %d do; use an odd number." (int .Values.orderers) (sub (int .Values.orderers) 1)) -}}
{{- end -}}
{{- if ge (int .Values.jobs.stepTimeoutSeconds) (int .Values.jobs.deadlineSeconds) -}}
{{- fail "jobs: a step cannot have more time than the whole job: stepTimeoutSeconds must be less than deadlineSeconds." -}}
{{- end -}}
{{- end }}
