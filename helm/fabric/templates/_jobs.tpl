{{/* A job of the network, which runs Fabric's programs from Consilo's Python. Takes {root, component, name, hook, arguments, volumes, mounts, serviceAccount}. */}}
{{- define "fabric.job" -}}
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "fabric.metadata" . | nindent 2 }}
  annotations:
    helm.sh/hook: {{ .hook }}
    helm.sh/hook-weight: "0"
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  backoffLimit: 2
  # What can never succeed is not tried again.
  podFailurePolicy:
    rules:
      - action: FailJob
        onExitCodes: {containerName: {{ .component }}, operator: In, values: [2]}
  activeDeadlineSeconds: {{ .root.Values.jobs.deadlineSeconds }}
  ttlSecondsAfterFinished: {{ .root.Values.jobs.keepSeconds }}
  template:
    metadata:
      {{- include "fabric.podMetadata" (merge (dict "main" .component) .) | nindent 6 }}
    spec:
      restartPolicy: Never
      {{- include "fabric.podSpec" . | nindent 6 }}
      initContainers:
        - name: tools
          {{- include "fabric.image" (dict "root" .root "image" .root.Values.jobs.tools) | nindent 10 }}
          command: [sh, -ec, 'for tool in configtxgen cryptogen osnadmin peer; do cp "$(command -v "$tool")" /tools; done']
          resources:
            {{- toYaml .root.Values.jobs.resources | nindent 12 }}
          {{- include "fabric.containerSecurity" .root | nindent 10 }}
          volumeMounts:
            - {name: tools, mountPath: /tools}
      containers:
        - name: {{ .component }}
          {{- include "fabric.image" (dict "root" .root "image" .root.Values.image) | nindent 10 }}
          command: [python, -m, fabric.cluster, {{ .component }}]
          terminationMessagePolicy: FallbackToLogsOnError
          args:
            {{- range .arguments }}
            - {{ . | quote }}
            {{- end }}
          env:
            - {name: FABRIC_BIN, value: /tools}
            - {name: CONSILO_FABRIC_DIRECTORY, value: /work/network}
            - name: CONSILO_FABRIC_NETWORK
              value: {{ include "fabric.network" .root | quote }}
          resources:
            {{- toYaml .root.Values.jobs.resources | nindent 12 }}
          {{- include "fabric.containerSecurity" .root | nindent 10 }}
          volumeMounts:
            - {name: tools, mountPath: /tools, readOnly: true}
            - {name: work, mountPath: /work}
            - {name: temporary, mountPath: /tmp}
            {{- range .mounts }}
            - {{ toJson . }}
            {{- end }}
      volumes:
        - name: tools
          emptyDir: {}
        - name: work
          emptyDir: {medium: Memory, sizeLimit: 64Mi}
        - name: temporary
          emptyDir: {}
        {{- range .volumes }}
        - {{ toJson . }}
        {{- end }}
{{- end }}

{{/* A job that does what all organisations' administrators do. Takes {root, component, name, hook, stepTimeoutSeconds}. */}}
{{- define "fabric.administratorsJob" -}}
{{- $arguments := list "--timeout-seconds" (toString .stepTimeoutSeconds) -}}
{{- $volumes := list -}}
{{- $mounts := list -}}
{{- range list "administrators" "channel" -}}
{{- $arguments = concat $arguments (list (printf "--%s" .) (printf "/secrets/%s" .)) -}}
{{- $volumes = append $volumes (dict "name" . "secret" (dict "secretName" . "defaultMode" 288)) -}}
{{- $mounts = append $mounts (dict "name" . "mountPath" (printf "/secrets/%s" .) "readOnly" true) -}}
{{- end -}}
{{- include "fabric.job" (merge (dict "arguments" $arguments "volumes" $volumes "mounts" $mounts) .) -}}
{{- end }}

{{/* Annotations of what the first job needs: there before it, and gone after it. */}}
{{- define "fabric.materialHook" -}}
annotations:
  helm.sh/hook: pre-install,pre-upgrade
  helm.sh/hook-weight: "-10"
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
