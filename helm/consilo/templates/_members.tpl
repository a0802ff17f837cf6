{{/* Who there is: organisations, members, their Secrets. */}}

{{/* Secret of a member of the release's own organisation. Takes {root, member}. */}}
{{- define "consilo.identitySecret" -}}
{{- get .root.Values.identity.existingSecrets .member | default (printf "%s-identity-%s" (include "consilo.fullname" .root) .member) -}}
{{- end }}

{{- define "consilo.caSecret" -}}
{{- .Values.identity.caSecret | default (printf "%s-ca" (include "consilo.fullname" .)) -}}
{{- end }}

{{- define "consilo.rootsSecret" -}}
{{- .Values.identity.rootsSecret | default (printf "%s-roots" (include "consilo.fullname" .)) -}}
{{- end }}

{{- define "consilo.genesisSecret" -}}
{{- .Values.ledger.embedded.genesisSecret | default (printf "%s-genesis" (include "consilo.fullname" .)) -}}
{{- end }}

{{- define "consilo.storeSecret" -}}
{{- .Values.store.existingSecret | default (printf "%s-store" (include "consilo.fullname" .)) -}}
{{- end }}

{{/* Secret of the S3 account; empty when there is none, and S3 clients look by themselves. */}}
{{- define "consilo.s3Secret" -}}
{{- if .Values.store.s3.existingSecret -}}
{{- .Values.store.s3.existingSecret -}}
{{- else if eq .Values.store.kind "versitygw" -}}
{{- printf "%s-s3" (include "consilo.fullname" .) -}}
{{- end -}}
{{- end }}

{{/* Secret of a demo hospital's operator, roots, CA or silo. Takes {root, partner, what}. */}}
{{- define "consilo.partnerSecret" -}}
{{- printf "%s-demo-%s-%s" (include "consilo.fullname" .root) .partner.name .what -}}
{{- end }}

{{/* All silos, as a JSON list: each with all its values, its `msp` and the `secret` of its identity. */}}
{{- define "consilo.silos" -}}
{{- $root := . -}}
{{- $silos := list -}}
{{- range .Values.silos -}}
{{- $silo := mergeOverwrite (deepCopy $root.Values.siloDefaults) (deepCopy .) -}}
{{- $_ := set $silo "msp" $root.Values.organisation.msp -}}
{{- $_ := set $silo "secret" (include "consilo.identitySecret" (dict "root" $root "member" .name)) -}}
{{- $silos = append $silos $silo -}}
{{- end -}}
{{- if .Values.demo.enabled -}}
{{- $demo := .Values.demo -}}
{{- $hospitals := prepend $demo.partners (dict "msp" .Values.organisation.msp "name" .Values.organisation.name) -}}
{{- range $index, $hospital := $hospitals -}}
{{- $silo := deepCopy $root.Values.siloDefaults -}}
{{- $name := printf "demo-%s" $hospital.name -}}
{{- $secret := ternary (include "consilo.identitySecret" (dict "root" $root "member" $name)) (include "consilo.partnerSecret" (dict "root" $root "partner" $hospital "what" "silo")) (eq $index 0) -}}
{{- $tasks := dict (printf "%s@%s" $demo.task.name $demo.task.version) $demo.task.class -}}
{{- $data := dict "silo" $index "silos" (len $hospitals) "alpha" "0.5" "seed" 7 -}}
{{- $silos = append $silos (mergeOverwrite $silo (dict "name" $name "msp" $hospital.msp "secret" $secret "tasks" $tasks "data" $data)) -}}
{{- end -}}
{{- end -}}
{{- $silos | toJson -}}
{{- end }}

{{/* The release's own members, as a JSON object: name -> role. */}}
{{- define "consilo.members" -}}
{{- $members := dict "operator" "operator" "gateway" "gateway" "tester" "aggregator" -}}
{{- if .Values.aggregator.enabled }}{{ $_ := set $members "aggregator" "aggregator" }}{{ end -}}
{{- if .Values.verifier.enabled }}{{ $_ := set $members "verifier" "verifier" }}{{ end -}}
{{- $msp := .Values.organisation.msp -}}
{{- range include "consilo.silos" . | fromJsonArray -}}
{{- if eq .msp $msp }}{{ $_ := set $members .name "silo" }}{{ end -}}
{{- end -}}
{{- $members | toJson -}}
{{- end }}

{{/* The organisations that the setup sees to, as a JSON list of OrganisationPlan (services/setup/settings.py). */}}
{{- define "consilo.organisationPlans" -}}
{{- $root := . -}}
{{- $members := list -}}
{{- $existing := .Values.identity.existingSecrets -}}
{{- if .Values.identity.create -}}
{{- range $name, $role := include "consilo.members" . | fromJson -}}
{{- if not (get $existing $name) -}}
{{- $members = append $members (dict "name" $name "role" $role "secret" (include "consilo.identitySecret" (dict "root" $root "member" $name))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $own := dict "msp" .Values.organisation.msp "roots_secret" (include "consilo.rootsSecret" .) "members" $members -}}
{{- if .Values.identity.create }}{{ $_ := set $own "ca_secret" (include "consilo.caSecret" .) }}{{ end -}}
{{- $plans := list $own -}}
{{- if .Values.demo.enabled -}}
{{- range $partner := .Values.demo.partners -}}
{{- $name := printf "demo-%s" $partner.name -}}
{{- $operator := dict "name" "operator" "role" "operator" "secret" (include "consilo.partnerSecret" (dict "root" $root "partner" $partner "what" "operator")) -}}
{{- $silo := dict "name" $name "role" "silo" "secret" (include "consilo.partnerSecret" (dict "root" $root "partner" $partner "what" "silo")) -}}
{{- $plans = append $plans (dict
      "msp" $partner.msp
      "roots_secret" (include "consilo.partnerSecret" (dict "root" $root "partner" $partner "what" "roots"))
      "ca_secret" (include "consilo.partnerSecret" (dict "root" $root "partner" $partner "what" "ca"))
      "members" (list $operator $silo)) -}}
{{- end -}}
{{- end -}}
{{- $plans | toJson -}}
{{- end }}

{{/* Whether the setup has anything to see to: "true" or empty. */}}
{{- define "consilo.needsSetup" -}}
{{- if or .Values.identity.create
          (and (eq .Values.ledger.kind "embedded") (not .Values.ledger.embedded.genesisSecret))
          (and (eq .Values.store.kind "local") (not .Values.store.existingSecret))
          (and (eq .Values.store.kind "versitygw") (not .Values.store.s3.existingSecret)) -}}
true
{{- end -}}
{{- end }}
