{{/* Jobs and hooks. */}}

{{/* Annotations of what the setup consists of. Takes the weight: the Job comes last. It stays when it fails, to be read. */}}
{{- define "consilo.setupHook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
helm.sh/hook-output-log-policy: hook-failed
{{- end }}

{{/* What the command line finds in its environment. */}}
{{- define "consilo.cliSettings" -}}
- {name: CONSILO_GATEWAY, value: {{ include "consilo.gatewayUrl" . | quote }}}
- {name: CONSILO_STATE, value: /tmp/state}
{{- with .Values.privateNetworks }}
- {name: CONSILO_PRIVATE_NETWORKS, value: {{ join " " . | quote }}}
{{- end }}
# Of what tables are made for.
- {name: COLUMNS, value: "160"}
{{- end }}

{{/* Settings of a silo that trains in Jobs. Takes {root, silo}. */}}
{{- define "consilo.jobSettings" -}}
{{- $job := .silo.trainer.job -}}
{{- $prefix := "CONSILO_CLIENT_TRAINER__JOB__" -}}
{{- $fields := dict "NAMESPACE" "metadata.namespace" "POD_NAME" "metadata.name" "POD_UID" "metadata.uid" "POD_ADDRESS" "status.podIP" -}}
- {name: CONSILO_CLIENT_TRAINER__MODE, value: job}
{{- range $name, $path := $fields }}
- name: {{ $prefix }}{{ $name }}
  valueFrom: {fieldRef: {fieldPath: {{ $path }}}}
{{- end }}
{{- $labels := dict "app.kubernetes.io/instance" .root.Release.Name "app.kubernetes.io/part-of" "consilo" "consilo/trains-for" .silo.name -}}
{{- $settings := dict
      "HOST" "0.0.0.0"
      "PORT" "8071"
      "IMAGE" ($job.image | default (include "consilo.image" (dict "root" .root "image" .root.Values.trainerImage)))
      "IMAGE_PULL_POLICY" .root.Values.trainerImage.pullPolicy
      "IMAGE_PULL_SECRETS" .root.Values.imagePullSecrets
      "RESOURCES" $job.resources
      "GPUS" ($job.gpus | toString)
      "GPU_RESOURCE" $job.gpuResource
      "NODE_SELECTOR" $job.nodeSelector
      "TOLERATIONS" $job.tolerations
      "DEADLINE_SECONDS" ($job.deadlineSeconds | int | toString)
      "SERVICE_ACCOUNT" (include "consilo.fullname" .root)
      "LABELS" $labels -}}
{{- with .silo.dataVolume.existingClaim -}}
{{- $claim := dict "claimName" . "readOnly" true -}}
{{- $_ := set $settings "VOLUMES" (list (dict "name" "data" "persistentVolumeClaim" $claim)) -}}
{{- $_ := set $settings "MOUNTS" (list (dict "name" "data" "mountPath" $.silo.dataVolume.mountPath "readOnly" true)) -}}
{{- end -}}
{{- include "consilo.settings" (dict "prefix" $prefix "settings" (merge (deepCopy $job.settings) $settings)) }}
{{- end }}

{{/* Name of a Job of this revision. A Job cannot be changed: another one gets another name, also when revisions are counted
anew after a removal that left one behind. Takes {root, component}. */}}
{{- define "consilo.jobName" -}}
{{- $content := .root.Values | toJson | sha256sum | trunc 6 -}}
{{- printf "%s-%s-%d-%s" (include "consilo.fullname" .root) .component .root.Release.Revision $content -}}
{{- end }}
