{{- define "operator.chart" -}}
{{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "operator.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/component: gpu-operator
helm.sh/chart: {{ include "operator.chart" . }}
{{- with .Values.operator.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "operator.image" -}}
{{ printf "%s/%s:%s" .Values.operator.repository .Values.operator.image (.Values.operator.version | default .Chart.AppVersion) }}
{{- end -}}

{{/*
The operands: what the operator puts on GPU nodes. As YAML, so that every template reads one list.
  label: nodes with nvidia.com/gpu.deploy.LABEL=true get it; values: its key in the values.
*/}}
{{- define "operator.operands" -}}
- {name: nvidia-driver-daemonset, container: nvidia-driver-ctr, label: driver, serviceAccount: nvidia-driver, values: driver}
- {name: nvidia-container-toolkit-daemonset, container: nvidia-container-toolkit-ctr, label: container-toolkit, serviceAccount: nvidia-container-toolkit, values: toolkit}
- {name: nvidia-device-plugin-daemonset, container: nvidia-device-plugin, label: device-plugin, serviceAccount: nvidia-device-plugin, values: devicePlugin}
- {name: gpu-feature-discovery, container: gpu-feature-discovery, label: gpu-feature-discovery, serviceAccount: nvidia-gpu-feature-discovery, values: gfd}
- {name: nvidia-dcgm-exporter, container: nvidia-dcgm-exporter, label: dcgm-exporter, serviceAccount: nvidia-dcgm-exporter, values: dcgmExporter}
- {name: nvidia-mig-manager, container: nvidia-mig-manager, label: mig-manager, serviceAccount: nvidia-mig-manager, values: migManager}
{{- end -}}

{{- define "operator.nfd.name" -}}
{{ printf "%s-node-feature-discovery" .Release.Name | trunc 56 | trimSuffix "-" }}
{{- end -}}

{{- define "operator.nfd.selector" -}}
app.kubernetes.io/name: node-feature-discovery
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "operator.nfd.labels" -}}
{{ include "operator.nfd.selector" . }}
app.kubernetes.io/version: {{ index .Values "node-feature-discovery" "image" "tag" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ include "operator.chart" . }}
{{- end -}}

{{/* Where a component's pods may run. Takes the component's values. */}}
{{- define "operator.placement" -}}
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

{{/* Takes a list of names of secrets. */}}
{{- define "operator.pullSecrets" -}}
{{- with . }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "operator.operandLabels" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: nvidia-gpu
app.kubernetes.io/managed-by: gpu-operator
helm.sh/chart: {{ include "operator.chart" . }}
{{- with .Values.daemonsets.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
