// Package kubernetes renders the manifests in deploy/kubernetes with kustomize, and reads each
// object strictly into the type that Kubernetes has for it. It is a module of its own, so that the
// program does not depend on Kubernetes.
package kubernetes

import (
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// decoder returns what reads an object and refuses fields that its type does not have.
func decoder(t *testing.T) runtime.Decoder {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{apps.AddToScheme, core.AddToScheme, networking.AddToScheme, policy.AddToScheme, monitoring.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
}

// render returns the objects of a directory, by kind.
func render(t *testing.T, dir string) map[string]string {
	t.Helper()
	all, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]string{}
	for _, r := range all.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		objects[r.GetKind()] = string(text)
	}
	return objects
}

func TestManifests(t *testing.T) {
	decode := decoder(t)
	for dir, workload := range map[string]string{"sqlite": "StatefulSet", "postgresql": "Deployment"} {
		objects := render(t, "../../deploy/kubernetes/"+dir)
		for _, kind := range []string{workload, "Service", "ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "ServiceMonitor"} {
			if objects[kind] == "" {
				t.Errorf("%s has no %s", dir, kind)
			}
		}
		for kind, text := range objects {
			object, _, err := decode.Decode([]byte(text), nil, nil)
			if err != nil {
				t.Errorf("%s, %s: %v", dir, kind, err)
				continue
			}
			checkPods(t, object)
		}
	}
}

// checkPods checks that pods run without any right, and that all selectors find them.
func checkPods(t *testing.T, object runtime.Object) {
	t.Helper()
	const label = "app.kubernetes.io/name"
	selector := map[string]string{}
	switch o := object.(type) {
	case *apps.StatefulSet:
		checkPod(t, o.Spec.Template)
		selector = o.Spec.Selector.MatchLabels
	case *apps.Deployment:
		checkPod(t, o.Spec.Template)
		selector = o.Spec.Selector.MatchLabels
	case *core.Service:
		selector = o.Spec.Selector
	case *networking.NetworkPolicy:
		selector = o.Spec.PodSelector.MatchLabels
	case *policy.PodDisruptionBudget:
		selector = o.Spec.Selector.MatchLabels
	case *monitoring.ServiceMonitor:
		selector = o.Spec.Selector.MatchLabels
	case *core.ConfigMap:
		return
	}
	if selector[label] != "graphrelay" {
		t.Errorf("%T selects %v", object, selector)
	}
}

func checkPod(t *testing.T, pod core.PodTemplateSpec) {
	t.Helper()
	c := pod.Spec.Containers[0]
	if pod.Labels["app.kubernetes.io/name"] != "graphrelay" || !*pod.Spec.SecurityContext.RunAsNonRoot ||
		!*c.SecurityContext.ReadOnlyRootFilesystem || *c.SecurityContext.AllowPrivilegeEscalation {
		t.Errorf("the pod is %+v", pod)
	}
}

// TestFaults checks that a field which does not exist, and a value of another type, are found.
func TestFaults(t *testing.T) {
	decode, objects := decoder(t), render(t, "../../deploy/kubernetes/sqlite")
	for _, fault := range []struct{ kind, old, new, want string }{
		{"StatefulSet", "readOnlyRootFilesystem:", "readOnlyRootFileSystem:", "unknown field"},
		{"NetworkPolicy", "podSelector:", "podSelektor:", "unknown field"},
		{"ServiceMonitor", "interval:", "intervall:", "unknown field"},
		{"PodDisruptionBudget", "kind: PodDisruptionBudget", "kind: PodDisruptionBudgets", "no kind"},
		{"StatefulSet", "replicas: 1", "replicas: one", "cannot unmarshal"},
	} {
		text := strings.Replace(objects[fault.kind], fault.old, fault.new, 1)
		if text == objects[fault.kind] {
			t.Fatalf("%s has no %s", fault.kind, fault.old)
		}
		if _, _, err := decode.Decode([]byte(text), nil, nil); err == nil || !strings.Contains(err.Error(), fault.want) {
			t.Errorf("%s with %s: %v", fault.kind, fault.new, err)
		}
	}
}
