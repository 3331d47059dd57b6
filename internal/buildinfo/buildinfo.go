// Package buildinfo reports which build of graphrelay is running.
package buildinfo

import (
	"runtime"
	"runtime/debug"
)

// version is set by the linker (see the Makefile).
var version = ""

// Info identifies a build.
type Info struct {
	Version   string // the release, or "devel"
	Revision  string // the commit, or "unknown"
	GoVersion string
}

// Read returns the build information of the running binary.
func Read() Info {
	b := Info{Version: version, Revision: "unknown", GoVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
		if b.Version == "" && info.Main.Version != "(devel)" {
			b.Version = info.Main.Version
		}
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	return b
}

// UserAgent returns the User-Agent header that requests to Graph carry.
func (b Info) UserAgent() string { return "graphrelay/" + b.Version }
