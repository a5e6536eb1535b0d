{{- define "amove-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 46 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 46 characters: a longer name of a Deployment would be cut within the names of its Pods. */}}
{{- define "amove-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 46 | trimSuffix "-" -}}
{{- end -}}

{{- define "amove-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "amove-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "amove-operator.ownLabels" -}}
{{ include "amove-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Of every object of the release; ours win over commonLabels. */}}
{{- define "amove-operator.labels" -}}
{{- merge (include "amove-operator.ownLabels" . | fromYaml) .Values.commonLabels | toYaml -}}
{{- end -}}

{{- define "amove-operator.serviceAccountName" -}}
{{- default (include "amove-operator.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "amove-operator.leaseNamespace" -}}
{{- default .Release.Namespace .Values.settings.leaseNamespace -}}
{{- end -}}

{{/* Two releases in one namespace have each its own. */}}
{{- define "amove-operator.leaseName" -}}
{{- default (include "amove-operator.fullname" .) .Values.settings.leaseName -}}
{{- end -}}

{{- define "amove-operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "amove-operator.subject" -}}
- kind: ServiceAccount
  name: {{ include "amove-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* What the operator does in each namespace that it serves. */}}
{{- define "amove-operator.tenantRules" -}}
- apiGroups: [storage.amove.io]
  resources: [amovebuckets, amovestoragekeys]
  verbs: [get, list, watch, patch]
- apiGroups: [storage.amove.io]
  resources: [amovebuckets/status, amovestoragekeys/status]
  verbs: [get, patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* Whoever holds this may write the status of these kinds, past the fence; argument: (context, resources). */}}
{{- define "amove-operator.attestRule" -}}
- apiGroups: [storage.amove.io]
  resources: {{ last . | toJson }}
  {{- with (first .).Values.settings.watchNamespaces }}
  resourceNames: {{- uniq . | toYaml | nindent 4 }}
  {{- end }}
  verbs: [attest]
{{- end -}}

{{/* The settings as environment: storageDn becomes AMOVE_STORAGE_DN. What is empty is left out. */}}
{{- define "amove-operator.settingsEnv" -}}
{{- $named := dict "leaseName" (include "amove-operator.leaseName" .) -}}
{{- range $key, $value := merge $named .Values.settings -}}
{{- $text := kindIs "slice" $value | ternary (join "," $value) (toString $value) -}}
{{- if not (or (kindIs "invalid" $value) (eq $text "")) }}
- name: AMOVE_{{ $key | snakecase | upper }}
  value: {{ $text | quote }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "amove-operator.podSecurity" -}}
runAsNonRoot: true
{{- /* Of the image's USER a kubelet takes over the user, and not the group: it would be root's. */}}
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "amove-operator.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "amove-operator.credentialsFolder" -}}
/var/run/secrets/amove
{{- end -}}

{{- define "amove-operator.credentialsEnv" -}}
{{- $folder := include "amove-operator.credentialsFolder" . -}}
{{- if .Values.credentials.login.type -}}
- name: AMOVE_USERNAME_FILE
  value: {{ $folder }}/username
- name: AMOVE_PASSWORD_FILE
  value: {{ $folder }}/password
- name: AMOVE_LOGIN_TYPE
  value: {{ .Values.credentials.login.type | quote }}
{{- else -}}
- name: AMOVE_TOKEN_FILE
  value: {{ $folder }}/token
{{- end -}}
{{- end -}}

{{- define "amove-operator.mounts" -}}
- name: credentials
  mountPath: {{ include "amove-operator.credentialsFolder" . }}
  readOnly: true
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "amove-operator.volumes" -}}
- name: credentials
  secret:
    secretName: {{ .Values.credentials.existingSecret }}
    {{- /* The files belong to root, and the operator is not root. */}}
    defaultMode: 0444
    items:
      {{- if .Values.credentials.login.type }}
      - key: {{ .Values.credentials.login.usernameKey }}
        path: username
      - key: {{ .Values.credentials.login.passwordKey }}
        path: password
      {{- else }}
      - key: {{ .Values.credentials.tokenKey }}
        path: token
      {{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Constraints that say nothing of which Pods they are about are about ours. */}}
{{- define "amove-operator.spread" -}}
{{- $ours := dict "labelSelector" (dict "matchLabels" (include "amove-operator.selectorLabels" . | fromYaml)) -}}
{{- $all := list -}}
{{- range .Values.topologySpreadConstraints -}}
{{- $all = append $all (merge (dict) . (ternary (dict) $ours (hasKey . "labelSelector"))) -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* The alerts, each with the address of its runbook. */}}
{{- define "amove-operator.alerts" -}}
{{- $file := .Files.Get "files/alerts.yaml" | fromYaml -}}
{{- with .Values.metrics.prometheusRule.runbookUrl -}}
{{- $base := trimSuffix "/" . -}}
{{- range $file.groups -}}{{- range .rules -}}
{{- $_ := set .annotations "runbook_url" (printf "%s/%s" $base (base .annotations.runbook_url)) -}}
{{- end -}}{{- end -}}
{{- end -}}
{{- toYaml $file -}}
{{- end -}}
