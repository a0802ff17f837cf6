{{/* What all pods share: they are restricted, and see no more of the cluster than they are given. */}}

{{/* Annotations and labels of a pod. Takes {root, component}, organisation or node, and checksum of its
     settings, main for the container whose log is meant. */}}
{{- define "fabric.podMetadata" -}}
labels:
  {{- include "fabric.labels" . | nindent 2 }}
{{- if or .checksum .main .root.Values.podAnnotations }}
annotations:
  {{- with .main }}
  kubectl.kubernetes.io/default-container: {{ . }}
  {{- end }}
  {{- with .checksum }}
  consilo.io/settings: {{ . }}
  {{- end }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Beginning of a pod's specification. Takes {root}, and serviceAccount for the one with a token. */}}
{{- define "fabric.podSpec" -}}
serviceAccountName: {{ .serviceAccount | default "nodes" }}
automountServiceAccountToken: {{ if .serviceAccount }}true{{ else }}false{{ end }}
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
{{- with .root.Values.scheduling.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.scheduling.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.scheduling.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Pods of one component on different nodes, where there are several. Takes {root, component}. */}}
{{- define "fabric.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "fabric.selector" . | nindent 8 }}
{{- end }}

{{- define "fabric.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Probes of a peer or an orderer, at its operations port. */}}
{{- define "fabric.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: operations}
  periodSeconds: 1
  failureThreshold: 120
readinessProbe:
  httpGet: {path: /healthz, port: operations}
  periodSeconds: 3
  timeoutSeconds: 3
livenessProbe:
  httpGet: {path: /healthz, port: operations}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}

{{/* The Secret of a peer or an orderer, in the directories that Fabric expects. Takes its name. */}}
{{- define "fabric.identityVolume" -}}
name: identity
secret:
  secretName: {{ . }}
  defaultMode: 0440
  items:
    - {key: config.yaml, path: msp/config.yaml}
    - {key: ca.pem, path: msp/cacerts/ca.pem}
    - {key: tls-ca.pem, path: msp/tlscacerts/tls-ca.pem}
    - {key: cert.pem, path: msp/signcerts/cert.pem}
    - {key: key.pem, path: msp/keystore/key.pem}
    - {key: tls-ca.pem, path: tls/ca.crt}
    - {key: tls.crt, path: tls/server.crt}
    - {key: tls.key, path: tls/server.key}
{{- end }}

{{/* A volume for each pod of a StatefulSet, kept when the release is uninstalled. Takes {root, size, storageClass, ...}. */}}
{{- define "fabric.volumeClaim" -}}
volumeClaimTemplates:
  - metadata:
      name: data
      labels:
        {{- include "fabric.selector" . | nindent 8 }}
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .storageClass }}
      storageClassName: {{ . }}
      {{- end }}
      resources: {requests: {storage: {{ .size }}}}
{{- end }}
