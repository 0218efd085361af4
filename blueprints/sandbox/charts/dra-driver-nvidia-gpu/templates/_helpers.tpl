{{- define "dra.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "dra.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "dra.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "dra.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "dra.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* Labels of a pod: few, so that pods stay readable. */}}
{{- define "dra.podLabels" -}}
app.kubernetes.io/name: {{ include "dra.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "dra.labels" -}}
{{ include "dra.podLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (include "dra.name" .) (.Chart.Version | replace "+" "_") | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* The label that tells components apart. Takes a list: the context and the component. */}}
{{- define "dra.selector" -}}
{{- $context := index . 0 -}}
{{- with $context.Values.selectorLabelsOverride -}}
{{- toYaml . -}}
{{- else -}}
{{ include "dra.name" $context }}-component: {{ index . 1 }}
{{- end -}}
{{- end -}}

{{- define "dra.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default (printf "v%s" .Chart.AppVersion) }}
{{- end -}}

{{/* The service account of a component. Takes a list: the context and the component. */}}
{{- define "dra.serviceAccount" -}}
{{- $context := index . 0 -}}
{{- $fallback := ternary (printf "%s-service-account" (include "dra.fullname" $context)) "default" $context.Values.serviceAccount.create -}}
{{ $context.Values.serviceAccount.name | default $fallback }}-{{ index . 1 }}
{{- end -}}

{{/* The newest resource.k8s.io version that the cluster serves; empty when it serves none. */}}
{{- define "dra.apiVersion" -}}
{{- $found := .Values.resourceApiVersion -}}
{{- range $version := list "v1" "v1beta2" "v1beta1" -}}
{{- $candidate := printf "resource.k8s.io/%s" $version -}}
{{- if and (not $found) ($.Capabilities.APIVersions.Has $candidate) -}}{{- $found = $candidate -}}{{- end -}}
{{- end -}}
{{ $found }}
{{- end -}}

{{/* FEATURE_GATES: name=value pairs in the order of their names, a comma after each, as NVIDIA's chart has it. */}}
{{- define "dra.featureGates" -}}
{{- $gates := "" -}}
{{- range $name, $value := .Values.featureGates -}}{{- $gates = printf "%s%s=%v," $gates $name $value -}}{{- end -}}
{{- with $gates -}}
- name: FEATURE_GATES
  value: {{ . | quote }}
{{- end -}}
{{- end -}}

{{/* Not empty for a driver before 25.12, which has no VFIO class and no extended resource. */}}
{{- define "dra.before2512" -}}
{{- regexFind "^v25\\.[38]\\." .Values.image.tag -}}
{{- end -}}

{{/* Where a component's pods may run. Takes the component's values. */}}
{{- define "dra.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
