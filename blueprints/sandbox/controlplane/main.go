// Command drakit-controlplane is a Kubernetes control plane in one binary: embedded etcd, kube-apiserver,
// kube-scheduler and kube-controller-manager, assembled from their upstream packages without a change.
//
// The first argument names the component to run; what follows goes to that component untouched:
//
//	drakit-controlplane etcd CONFIG.yaml
//	drakit-controlplane kube-apiserver --secure-port=6443 ...
//	drakit-controlplane version
//
// Each component is a process of its own: the scheduler and the controller manager share global flag and
// logging state, so they cannot live in one.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	switch name := os.Args[1]; name {
	case "version":
		fmt.Println(version.Get().GitVersion)
	case "etcd":
		if len(os.Args) != 3 {
			usage()
		}
		if err := runEtcd(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "etcd:", err)
			os.Exit(1)
		}
	default:
		newCommand, ok := components[name]
		if !ok {
			usage()
		}
		// Upstream takes its flags from os.Args and names itself after os.Args[0].
		os.Args = append([]string{name}, os.Args[2:]...)
		os.Exit(cli.Run(newCommand()))
	}
}

// runEtcd serves the member that configFile (etcd's own YAML) describes until SIGINT or SIGTERM, then stops it
// cleanly so that the next start replays no log.
func runEtcd(configFile string) error {
	config, err := embed.ConfigFromFile(configFile)
	if err != nil {
		return err
	}
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	select {
	case <-signals:
		server.Close()
		return nil
	case err := <-server.Err():
		return err
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: drakit-controlplane etcd CONFIG.yaml"+
		" | kube-apiserver|kube-controller-manager|kube-scheduler FLAGS... | version")
	os.Exit(2)
}
