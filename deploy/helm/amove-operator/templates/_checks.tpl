{{- /*
What the schema lets pass and a cluster, or the operator, would refuse later. All that is wrong is said at once, each
in a sentence that begins as Helm's own for a schema: "- at '/path/of/the/value': …". The schema says what names and
kinds of values there are; texts and what values mean beside each other are judged here, since of a pattern the
schema could say no more than that it does not match.
*/}}

{{/* Texts: at each of the paths, empty or as the pattern says; "*" is every item of a list, every value of a map. */}}
{{- define "amove-operator.texts" -}}
- paths: [settings/apiUrl, settings/authUrl]
  pattern: '^(https://[^/?#@ ]+|http://(localhost|127[.][0-9.]+|\[::1\])(:[0-9]+)?)(/[^?#@ ]*)?$'
  wanted: 'is not an address such as https://api.amove.io: https, then the host, without user, query or fragment (plain http would show the token to the network)'
- paths: [settings/resyncInterval, settings/minRotationInterval, settings/maxGrace, settings/listingSettle]
  pattern: '^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,8}s)?([0-9]{1,9}ms)?$'
  wanted: 'is not a duration: write numbers with the units h, m, s and ms, the largest unit first and each unit once, such as 30s, 10m or 1h30m'
- paths: [settings/resyncInterval]
  pattern: '[1-9][0-9]*h|[1-9][0-9]*m([0-9]|$)|[1-9][0-9]*s|[1-9][0-9]{3,}ms|[^0-9hms]|[0-9]$'
  wanted: 'is shorter than a second: write at least 1s'
- paths: [settings/cloudAccountId]
  pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
  wanted: 'is not the id of a cloud account: write a UUID in lower case, or leave it empty'
- paths: [settings/storageDn]
  pattern: '^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:[0-9]{1,5})?$'
  wanted: 'is not a host: write it in lower case and without https://, such as s3.example.com'
- paths: [settings/region]
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'
  wanted: 'is not a region such as us-east-1'
- paths: [settings/rateLimit]
  pattern: '^([0-9]{1,4}([.][0-9]+)?|10000|[0-9.]+e-[0-9]+)$'
  wanted: 'is not a number of calls a second, such as 10 or 0.5, and at most 10000'
- paths: [settings/rateLimit]
  pattern: '[1-9]|[^0-9.]'
  wanted: 'allows no call at all: write a number above 0'
- paths: [settings/watchNamespaces/*, settings/leaseNamespace, metrics/serviceMonitor/namespace, metrics/prometheusRule/namespace, metrics/dashboard/namespace]
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'
  wanted: 'is not the name of a namespace: write it out, in lower case'
- paths: [settings/trustedNamespaces/*]
  pattern: '^[]a-z0-9*?[!-]{1,63}$'
  wanted: 'is not the name of a namespace, nor a glob such as team-*'
- paths: [credentials/existingSecret, serviceAccount/name, settings/leaseName, imagePullSecrets/*/name, priorityClassName]
  pattern: '^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$'
  wanted: 'is not the name of a Kubernetes object: write lower-case letters, digits, dashes and dots'
- paths: [credentials/tokenKey, credentials/login/usernameKey, credentials/login/passwordKey]
  pattern: '^[A-Za-z0-9._-]{1,253}$'
  wanted: 'is not a key of a Secret: write letters, digits, dots, dashes and underscores'
- paths: [nameOverride, fullnameOverride]
  pattern: '^[a-z]([a-z0-9-]*[a-z0-9])?$'
  wanted: 'cannot name a Service: write lower-case letters, digits and dashes, a letter first'
- paths: [image/repository]
  pattern: '^[^:@ ]+(:[0-9]+/[^:@ ]+)?$'
  wanted: 'is not a repository: write it without https:// and without tag or digest, which are image.tag and image.digest'
- paths: [image/tag]
  pattern: '^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$'
  wanted: 'is not a tag of an image: write letters, digits, dots, dashes and underscores'
- paths: [image/digest]
  pattern: '^sha256:[0-9a-f]{64}$'
  wanted: 'is not a digest: write sha256: and 64 digits'
- paths: [resources/limits/*, resources/requests/*]
  pattern: '^[0-9]+([.][0-9]+)?(e[0-9]+|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$'
  wanted: 'is not a quantity such as 100m or 512Mi'
- paths: [commonLabels/*, podLabels/*, metrics/serviceMonitor/labels/*, metrics/prometheusRule/labels/*, metrics/dashboard/labels/*]
  pattern: '^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$'
  wanted: 'is not the value of a label: write up to 63 letters, digits, dots, dashes and underscores'
- paths: [metrics/serviceMonitor/interval, metrics/serviceMonitor/scrapeTimeout]
  pattern: '^[1-9][0-9]*(ms|s|m|h)$'
  wanted: 'is not one number with its unit, such as 30s or 1m'
- paths: [metrics/prometheusRule/runbookUrl]
  pattern: '^https?://[^/?#@ ]+(/[^?#@ ]*)?$'
  wanted: 'is not an address such as https://wiki.example.com/amove/runbooks'
{{- end -}}

{{/* The values at a path: a map of each one's path to it. Argument: (values, path, parts still to go). */}}
{{- define "amove-operator.at" -}}
{{- $value := index . 0 -}}{{- $path := index . 1 -}}{{- $rest := index . 2 -}}
{{- if or (kindIs "invalid" $value) (and $rest (kindIs "string" $value)) -}}
{{- else if not $rest -}}
{{ toJson $path }}: {{ toString $value | toJson }}
{{ else if ne (first $rest) "*" -}}
{{- include "amove-operator.at" (list (get $value (first $rest)) (printf "%s/%s" $path (first $rest)) (rest $rest)) -}}
{{- else -}}
{{- range $key, $item := $value -}}
{{- include "amove-operator.at" (list $item (printf "%s/%v" $path $key) (rest $rest)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* One fault: (path, sentence). A list of them in YAML. */}}
{{- define "amove-operator.fault" -}}
- {{ printf "at '/%s': %s" (index . 0) (index . 1) | toJson }}
{{ end -}}

{{- define "amove-operator.faultsOfTexts" -}}
{{- range include "amove-operator.texts" . | fromYamlArray -}}
{{- $rule := . -}}
{{- range .paths -}}
{{- range $path, $text := include "amove-operator.at" (list $.Values "" (splitList "/" .)) | fromYaml -}}
{{- if and $text (not (regexMatch $rule.pattern $text)) -}}
{{ include "amove-operator.fault" (list (trimPrefix "/" $path) (printf "%q %s" $text $rule.wanted)) }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What is required, and what values mean beside each other. */}}
{{- define "amove-operator.faultsOfValues" -}}
{{- with .Values -}}
{{- if not .credentials.existingSecret -}}
{{ include "amove-operator.fault" (list "credentials/existingSecret" "credentials.existingSecret is required: the name of the Secret that holds the API token (or user name and password, with credentials.login.type), made for instance by: kubectl create secret generic amove-credentials --from-file=token=./token") }}
{{- end -}}
{{- if not .image.repository -}}
{{ include "amove-operator.fault" (list "image/repository" "image.repository is required: where you pushed the image, such as harbor.example.com/storage/amove-operator; there is no public one") }}
{{- end -}}
{{- if and (gt (int .replicas) 1) (eq (toString .settings.leaderElection) "false") -}}
{{ include "amove-operator.fault" (list "replicas" "settings.leaderElection is false: set replicas to 1, since two operators would work against each other") }}
{{- end -}}
{{- if and (not .serviceAccount.create) (not .serviceAccount.name) -}}
{{ include "amove-operator.fault" (list "serviceAccount/name" "serviceAccount.create is false: set serviceAccount.name to the one to use; the namespace's own, default, would lend the operator's rights to every Pod that names none") }}
{{- end -}}
{{- if eq (int .settings.healthPort) (int .settings.metricsPort) -}}
{{ include "amove-operator.fault" (list "settings/metricsPort" (printf "%v is settings.healthPort as well: give each a port of its own" .settings.metricsPort)) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "amove-operator.faultsOfPod" -}}
{{- $taken := list "POD_NAME" "POD_NAMESPACE" "DEPLOYMENT_NAME" -}}
{{- $seen := dict -}}
{{- range $index, $one := .Values.extraEnv -}}
{{- $path := printf "extraEnv/%d/name" $index -}}
{{- if or (hasPrefix "AMOVE_" .name) (has .name $taken) -}}
{{ include "amove-operator.fault" (list $path (printf "%s is set by the chart: use credentials.* for how to log in, and settings.* for all else" .name)) }}
{{- else if hasKey $seen .name -}}
{{ include "amove-operator.fault" (list $path (printf "%s is there twice: keep one" .name)) }}
{{- end -}}
{{- $_ := set $seen .name true -}}
{{- end -}}
{{- $volumes := dict "credentials" true -}}
{{- range $index, $one := .Values.extraVolumes -}}
{{- if hasKey $volumes .name -}}
{{ include "amove-operator.fault" (list (printf "extraVolumes/%d/name" $index) (printf "there is a volume %q already: give this one another name" .name)) }}
{{- end -}}
{{- $_ := set $volumes .name true -}}
{{- end -}}
{{- $folder := include "amove-operator.credentialsFolder" . -}}
{{- $paths := dict $folder true -}}
{{- range $index, $one := .Values.extraVolumeMounts -}}
{{- if or (eq .name "credentials") (not (hasKey $volumes .name)) -}}
{{ include "amove-operator.fault" (list (printf "extraVolumeMounts/%d/name" $index) (printf "there is no volume %q in extraVolumes: add it there, or correct the name" .name)) }}
{{- end -}}
{{- $path := trimSuffix "/" .mountPath -}}
{{- if or (hasKey $paths $path) (hasPrefix (printf "%s/" $path) $folder) -}}
{{ include "amove-operator.fault" (list (printf "extraVolumeMounts/%d/mountPath" $index) (printf "%q would hide what is mounted there already: choose another path" .mountPath)) }}
{{- end -}}
{{- $_ := set $paths $path true -}}
{{- end -}}
{{- end -}}

{{/* A duration of one unit, in milliseconds; 0 where it is none. */}}
{{- define "amove-operator.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 -}}
{{- if regexMatch "^[0-9]+(ms|s|m|h)$" . -}}
{{- mul (regexFind "^[0-9]+" . | int64) (get $units (regexFind "[a-z]+$" .)) -}}
{{- else -}}0{{- end -}}
{{- end -}}

{{- define "amove-operator.faultsOfMetrics" -}}
{{- with .Values.metrics -}}
{{- if and .serviceMonitor.enabled (not .service.enabled) -}}
{{ include "amove-operator.fault" (list "metrics/service/enabled" "metrics.serviceMonitor.enabled needs metrics.service.enabled: true") }}
{{- end -}}
{{- $every := include "amove-operator.milliseconds" .serviceMonitor.interval | int64 -}}
{{- if gt (include "amove-operator.milliseconds" .serviceMonitor.scrapeTimeout | int64) $every -}}
{{ include "amove-operator.fault" (list "metrics/serviceMonitor/scrapeTimeout" (printf "%q is longer than the interval, %s: Prometheus would refuse the whole scrape" .serviceMonitor.scrapeTimeout .serviceMonitor.interval)) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Only where Helm talks to a cluster: there kube-system is seen. */}}
{{- define "amove-operator.faultsOfCluster" -}}
{{- $named := dict -}}
{{- range $index, $namespace := .Values.settings.watchNamespaces -}}
{{- $_ := set $named (printf "settings/watchNamespaces/%d" $index) $namespace -}}
{{- end -}}
{{- with .Values.settings.leaseNamespace -}}
{{- $_ := set $named "settings/leaseNamespace" . -}}
{{- end -}}
{{- if and $named (lookup "v1" "Namespace" "" "kube-system") -}}
{{- range $path, $namespace := $named -}}
{{- if not (lookup "v1" "Namespace" "" $namespace) -}}
{{ include "amove-operator.fault" (list $path (printf "there is no namespace %q, and the operator's role belongs into it: kubectl create namespace %s, or take it out" $namespace $namespace)) }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
The release runs already, and by another Lease: the new Pods would lead beside the old ones. It is asked for by the names
that it has, or would have without an override, since whoever installs need not be allowed to list Deployments.
*/}}
{{- define "amove-operator.faultsOfLease" -}}
{{- $next := printf "%s/%s" (include "amove-operator.leaseNamespace" .) (include "amove-operator.leaseName" .) -}}
{{- $plain := dict "Chart" .Chart "Release" .Release "Values" dict -}}
{{- range list (include "amove-operator.fullname" .) (include "amove-operator.fullname" $plain) | uniq -}}
{{- $running := lookup "apps/v1" "Deployment" $.Release.Namespace . | default dict -}}
{{- $ours := eq (dig "metadata" "labels" "app.kubernetes.io/instance" "" $running) $.Release.Name -}}
{{- if and $ours (dig "spec" "replicas" 0 $running) -}}
{{- $held := dict -}}
{{- range (first $running.spec.template.spec.containers).env -}}
{{- $_ := set $held .name (get . "value") -}}
{{- end -}}
{{- $name := get $held "AMOVE_LEASE_NAME" -}}
{{- $lease := printf "%s/%s" (get $held "AMOVE_LEASE_NAMESPACE" | default $.Release.Namespace) $name -}}
{{- if and $name (ne $lease $next) -}}
{{ include "amove-operator.fault" (list "settings/leaseName" (printf "Deployment %s runs by the Lease %s, and beside it Pods with the Lease %s would lead too: leave leaseName, leaseNamespace and fullnameOverride as they were, or first kubectl scale deployment %s --namespace %s --replicas=0 and wait until its Pods are gone" . $lease $next . $.Release.Namespace)) }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "amove-operator.check" -}}
{{- $faults := list -}}
{{- range list "Texts" "Values" "Pod" "Metrics" "Cluster" "Lease" -}}
{{- $faults = concat $faults (include (printf "amove-operator.faultsOf%s" .) $ | fromYamlArray) -}}
{{- end -}}
{{- with $faults -}}
{{- fail (printf "the values cannot be installed:\n- %s" (join "\n- " .)) -}}
{{- end -}}
{{- end -}}
