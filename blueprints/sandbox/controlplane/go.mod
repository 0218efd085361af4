// The module root only. Each Kubernetes version has its own module file beside this one, chosen with
// `go build -modfile=kubernetes-1.33.mod`, with the checksums in the .sum file of the same name.
module github.com/drakit/drakit/controlplane

go 1.24.0
