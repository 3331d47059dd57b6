package packages

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// TestImage builds the container image and runs it as a container engine would that allows it
// nothing: as its user, with a read-only root and without capabilities. It must deliver mail, and
// its health check must tell whether it runs.
func TestImage(t *testing.T) {
	for _, tool := range []string{"buildah", "runc", "tar"} {
		harness.NeedTool(t, tool)
	}
	if os.Geteuid() != 0 {
		harness.SkipUnlessCI(t, "needs root")
	}
	bundle := t.TempDir()
	archive := filepath.Join(bundle, "image.tar")
	harness.Tool(t, "", "../../deploy/container/build", "v1.0.0", runtime.GOARCH, harness.ReleasedPath(t), archive)
	image := unpack(t, archive, bundle)
	if image.User != "65532:65532" || !slices.Equal(image.Volumes(), []string{"/var/lib/graphrelay"}) {
		t.Errorf("the image runs as %q with the volumes %q", image.User, image.Volumes())
	}

	sim := harness.StartSim(t)
	relay := harness.NewRelay(t, sim, harness.Replace("data_dir: ./data ", "data_dir: /var/lib/graphrelay "))
	share(t, relay.Dir)
	state := filepath.Join(bundle, "rootfs/var/lib/graphrelay")
	writeBundle(t, bundle, append(image.Entrypoint, image.Cmd...), map[string]string{"/etc/graphrelay": relay.Dir, "/var/lib/graphrelay": state})
	runc := func(args ...string) *exec.Cmd {
		return exec.Command("runc", append([]string{"--root", filepath.Join(bundle, "state")}, args...)...)
	}
	container := "graphrelay-" + filepath.Base(filepath.Dir(bundle))
	healthy := func() error { return runc("exec", container, "/usr/bin/graphrelay", "healthcheck").Run() }
	relay.Launch = func(cmd *exec.Cmd) error {
		run := runc("run", "--bundle", bundle, container)
		cmd.Path, cmd.Args, cmd.Err = run.Path, run.Args, run.Err
		return cmd.Start()
	}
	if err := healthy(); err == nil {
		t.Error("the health check finds a relay that was not started")
	}
	relay.Start(t)
	if err := healthy(); err != nil {
		t.Errorf("the health check: %v", err)
	}
	if answer := relay.SendOne(t, harness.TenKilobytes("from a container")(1)); !strings.HasPrefix(answer, "250") {
		t.Fatalf("the message is answered %q", answer)
	}
	harness.WaitFor(t, "the message", func() bool { return sim.Sends(t) == 1 })
	relay.Stop(t)
}

// imageConfig is the part of an image's configuration that says how it is run.
type imageConfig struct {
	User            string
	Entrypoint, Cmd []string
	VolumeSet       map[string]struct{} `json:"Volumes"`
}

// Volumes returns the paths of the volumes.
func (c imageConfig) Volumes() []string {
	var paths []string
	for path := range c.VolumeSet {
		paths = append(paths, path)
	}
	return paths
}

// unpack unpacks the only image of an archive into bundle/rootfs.
func unpack(t *testing.T, archive, bundle string) imageConfig {
	t.Helper()
	layout := filepath.Join(bundle, "layout")
	extract(t, archive, layout)
	type blob struct{ Digest string }
	read := func(b blob, v any) {
		t.Helper()
		if err := json.Unmarshal([]byte(harness.ReadFile(t, blobPath(layout, b.Digest))), v); err != nil {
			t.Fatal(err)
		}
	}
	var index struct{ Manifests []blob }
	if err := json.Unmarshal([]byte(harness.ReadFile(t, filepath.Join(layout, "index.json"))), &index); err != nil || len(index.Manifests) != 1 {
		t.Fatalf("index.json: %v, %d manifests", err, len(index.Manifests))
	}
	var manifest struct {
		Config blob
		Layers []blob
	}
	read(index.Manifests[0], &manifest)
	for _, layer := range manifest.Layers {
		extract(t, blobPath(layout, layer.Digest), filepath.Join(bundle, "rootfs"))
	}
	var image struct{ Config imageConfig }
	read(manifest.Config, &image)
	return image.Config
}

func blobPath(layout, digest string) string {
	return filepath.Join(layout, "blobs", strings.Replace(digest, ":", "/", 1))
}

func extract(t *testing.T, archive, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	harness.Tool(t, "", "tar", "-xf", archive, "-C", dir)
}

// share gives the files of a configuration to the user of the image.
func share(t *testing.T, dir string) {
	t.Helper()
	harness.Tool(t, "", "chown", "-R", "65532:65532", dir)
}

// writeBundle writes the config.json of the bundle. The container has the network of this machine.
func writeBundle(t *testing.T, bundle string, args []string, binds map[string]string) {
	t.Helper()
	type object = map[string]any
	mounts := []object{{"destination": "/proc", "type": "proc", "source": "proc"}}
	for to, from := range binds {
		mounts = append(mounts, object{"destination": to, "type": "bind", "source": from, "options": []string{"bind", "rw"}})
	}
	text, err := json.Marshal(object{
		"ociVersion": "1.0.2",
		"process": object{
			"user": object{"uid": 65532, "gid": 65532}, "cwd": "/", "args": args, "noNewPrivileges": true,
			"env": []string{"PATH=/usr/bin"}, "capabilities": object{},
		},
		"root":   object{"path": "rootfs", "readonly": true},
		"mounts": mounts,
		"linux":  object{"namespaces": []object{{"type": "mount"}, {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}
