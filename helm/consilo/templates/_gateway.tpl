{{/* The pod of the gateway, for the StatefulSet of the embedded ledger and the Deployment on Fabric. */}}

{{- define "consilo.gatewayPod" -}}
{{- $fabric := .Values.ledger.fabric -}}
{{- $isFabric := eq .Values.ledger.kind "fabric" -}}
{{- $secrets := list (dict "name" "identity" "secret" (include "consilo.identitySecret" (dict "root" . "member" "gateway"))) -}}
{{- if $isFabric -}}
{{- range $index, $secret := include "consilo.fabricSecrets" . | fromJsonArray -}}
{{- $secrets = append $secrets (dict "name" (printf "fabric-%d" $index) "secret" $secret) -}}
{{- end -}}
{{- else -}}
{{- $secrets = append $secrets (dict "name" "genesis" "secret" (include "consilo.genesisSecret" .)) -}}
{{- end -}}
{{- with include "consilo.storeCredentials" . -}}
{{- $secrets = append $secrets (dict "name" "store" "secret" .) -}}
{{- end -}}
metadata:
  {{- include "consilo.podMetadata" (dict "root" . "component" "gateway") | nindent 2 }}
spec:
  {{- include "consilo.podSpec" (dict "root" . "serviceAccount" (printf "%s-gateway" (include "consilo.fullname" .))) | nindent 2 }}
  terminationGracePeriodSeconds: {{ .Values.gateway.terminationGracePeriodSeconds }}
  {{- if $isFabric }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "consilo.selector" (dict "root" . "component" "gateway") | nindent 10 }}
  {{- end }}
  containers:
    - name: gateway
      {{- include "consilo.container" (dict "root" .) | nindent 6 }}
      command: [python, -m, services.ledger]
      env:
        - {name: CONSILO_LEDGER_HOST, value: 0.0.0.0}
        - {name: CONSILO_LEDGER_PORT, value: "8080"}
        - {name: CONSILO_LEDGER_IDENTITY, value: /secrets/{{ include "consilo.identitySecret" (dict "root" . "member" "gateway") }}}
        {{- if $isFabric }}
        {{- include "consilo.fabricSettings" . | nindent 8 }}
        {{- else }}
        - name: CONSILO_LEDGER_ORGANISATIONS
          value: {{ include "consilo.gatewayOrganisations" . | quote }}
        - {name: CONSILO_LEDGER_EMBEDDED__FILE, value: /ledger/ledger.sqlite}
        - {name: CONSILO_LEDGER_EMBEDDED__GENESIS_FILE, value: /secrets/{{ include "consilo.genesisSecret" . }}/genesis.json}
        {{- end }}
        {{- include "consilo.storeAccess" . | nindent 8 }}
        {{- include "consilo.settings" (dict "prefix" "CONSILO_LEDGER_" "settings" .Values.gateway.settings) | nindent 8 }}
      ports:
        - {name: http, containerPort: 8080}
      {{- include "consilo.probes" (dict "port" "http") | nindent 6 }}
      lifecycle:
        # Until everybody has heard that this pod takes no more requests.
        preStop: {sleep: {seconds: 3}}
      resources:
        {{- toYaml .Values.gateway.resources | nindent 8 }}
      volumeMounts:
        - {name: temporary, mountPath: /tmp}
        {{- if $isFabric }}
        - {name: replica, mountPath: /replica}
        {{- else }}
        - {name: ledger, mountPath: /ledger}
        {{- end }}
        {{- range $secrets }}
        {{- include "consilo.secretMount" . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "consilo.temporary" . | nindent 4 }}
    {{- if $isFabric }}
    # Built anew from the channel's blocks when a pod is made.
    - {name: replica, emptyDir: {}}
    {{- end }}
    {{- range $secrets }}
    {{- include "consilo.secretVolume" . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* MSP ids whose gateway it is, as a JSON list. */}}
{{- define "consilo.gatewayOrganisations" -}}
{{- $organisations := list .Values.organisation.msp -}}
{{- if .Values.demo.enabled -}}
{{- range .Values.demo.partners }}{{ $organisations = append $organisations .msp }}{{ end -}}
{{- end -}}
{{- $organisations | toJson -}}
{{- end }}

{{/* Secret with what signs for the store; empty when there is none. */}}
{{- define "consilo.storeCredentials" -}}
{{- if eq .Values.store.kind "local" -}}{{ include "consilo.storeSecret" . }}{{- else -}}{{ include "consilo.s3Secret" . }}{{- end -}}
{{- end }}

{{- define "consilo.storeAccess" -}}
{{- $store := .Values.store -}}
{{- if eq $store.kind "local" -}}
- {name: CONSILO_LEDGER_STORE__KIND, value: local}
- {name: CONSILO_LEDGER_STORE__URL, value: {{ include "consilo.storeUrl" . | quote }}}
- {name: CONSILO_LEDGER_STORE__SECRET_FILE, value: /secrets/{{ include "consilo.storeSecret" . }}/secret}
{{- else -}}
- {name: CONSILO_LEDGER_STORE__KIND, value: s3}
- {name: CONSILO_LEDGER_STORE__PUBLIC_ENDPOINT_URL, value: {{ include "consilo.storeUrl" . | quote }}}
{{- with $store.s3.endpointUrl }}
- {name: CONSILO_LEDGER_STORE__ENDPOINT_URL, value: {{ . | quote }}}
{{- end }}
- {name: CONSILO_LEDGER_STORE__BUCKET, value: {{ $store.s3.bucket | quote }}}
- {name: CONSILO_LEDGER_STORE__PREFIX, value: {{ $store.s3.prefix | quote }}}
- {name: CONSILO_LEDGER_STORE__REGION, value: {{ $store.s3.region | quote }}}
- {name: CONSILO_LEDGER_STORE__ADDRESSING, value: {{ $store.s3.addressing }}}
{{- with include "consilo.s3Secret" . }}
- {name: CONSILO_LEDGER_STORE__ACCESS_KEY_FILE, value: /secrets/{{ . }}/access-key}
- {name: CONSILO_LEDGER_STORE__SECRET_KEY_FILE, value: /secrets/{{ . }}/secret-key}
{{- end }}
{{- end }}
{{- end }}

{{/* Secrets that hold what the gateway needs of Fabric, as a JSON list: each once, that of the client first. */}}
{{- define "consilo.fabricSecrets" -}}
{{- $secrets := list .Values.ledger.fabric.clientSecret -}}
{{- range .Values.ledger.fabric.peers -}}
{{- with .tlsCaSecret }}{{ $secrets = append $secrets . }}{{ end -}}
{{- end -}}
{{- $secrets | uniq | toJson -}}
{{- end }}

{{- define "consilo.fabricSettings" -}}
{{- $fabric := .Values.ledger.fabric -}}
{{- $peers := list -}}
{{- range $fabric.peers -}}
{{- $ca := printf "/secrets/%s/%s" (.tlsCaSecret | default $fabric.clientSecret) (.tlsCaKey | default "tls-ca.pem") -}}
{{- $peer := dict "address" .address "msp" .msp "tls_ca_file" $ca -}}
{{- with .serverName }}{{ $_ := set $peer "server_name" . }}{{ end -}}
{{- $peers = append $peers $peer -}}
{{- end -}}
- {name: CONSILO_LEDGER_FABRIC__CHANNEL, value: {{ $fabric.channel | quote }}}
- {name: CONSILO_LEDGER_FABRIC__CHAINCODE, value: {{ $fabric.chaincode | quote }}}
- {name: CONSILO_LEDGER_FABRIC__MSP, value: {{ .Values.organisation.msp | quote }}}
- {name: CONSILO_LEDGER_FABRIC__CERTIFICATE_FILE, value: /secrets/{{ $fabric.clientSecret }}/client.pem}
- {name: CONSILO_LEDGER_FABRIC__KEY_FILE, value: /secrets/{{ $fabric.clientSecret }}/client.key}
- {name: CONSILO_LEDGER_FABRIC__STATE_FILE, value: /replica/replica.sqlite}
- name: CONSILO_LEDGER_FABRIC__PEERS
  value: {{ $peers | toJson | quote }}
{{- end }}
