// Command sbom writes the software bill of materials of a graphrelay binary: the modules
// that it is linked from, with their checksums and licences, in the JSON of CycloneDX 1.6.
// All of it comes from the binary and internal/licences, and equal binaries have equal bills.
package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"runtime/debug"
	"strings"

	"graphrelay/internal/licences"
)

func main() {
	version := flag.String("version", "", "the `version` of graphrelay; by default that of the build")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: sbom [-version VERSION] BINARY")
		os.Exit(2)
	}
	out, err := bill(flag.Arg(0), *version)
	if err == nil {
		_, err = os.Stdout.Write(out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// The parts of CycloneDX that are used: https://cyclonedx.org/docs/1.6/json/
type (
	document struct {
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Component component `json:"component"`
	}
	component struct {
		Type     string    `json:"type"`
		Ref      string    `json:"bom-ref"`
		Name     string    `json:"name"`
		Version  string    `json:"version"`
		Hashes   []hash    `json:"hashes,omitempty"`
		Licenses []license `json:"licenses"`
		PURL     string    `json:"purl"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	license struct {
		License licenseID `json:"license"`
	}
	licenseID struct {
		ID string `json:"id"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn,omitempty"`
	}
)

// bill returns the bill of a binary. The version may be empty.
func bill(path, version string) ([]byte, error) {
	binary, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if version == "" {
		version = info.Main.Version
	}
	program, err := describe("application", info.Main.Path, version)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(binary)
	program.Hashes = []hash{{Algorithm: "SHA-256", Content: hex.EncodeToString(sum[:])}}
	// The standard library has no checksum of its own.
	std, err := describe("library", "std", strings.TrimPrefix(info.GoVersion, "go"))
	if err != nil {
		return nil, err
	}
	components := []component{}
	for _, d := range info.Deps {
		c, err := describeModule(d)
		if err != nil {
			return nil, err
		}
		components = append(components, c)
	}
	components = append(components, std)
	// The binary does not say which module needs which, only that the program needs all.
	needs := dependency{Ref: program.Ref}
	for _, c := range components {
		needs.DependsOn = append(needs.DependsOn, c.Ref)
	}
	out, err := json.MarshalIndent(document{
		Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Metadata: metadata{Component: program}, Components: components, Dependencies: []dependency{needs},
	}, "", "  ")
	return append(out, '\n'), err
}

// describeModule describes a module, or what replaces it.
func describeModule(m *debug.Module) (component, error) {
	if m.Replace != nil {
		m = m.Replace
	}
	c, err := describe("library", m.Path, m.Version)
	if err != nil {
		return component{}, err
	}
	// The form of go.sum: h1: and the SHA-256 of the names and checksums of the files.
	sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:"))
	if err != nil || len(sum) != sha256.Size || !strings.HasPrefix(m.Sum, "h1:") {
		return component{}, fmt.Errorf("%s has no checksum, so that nobody can tell what it was: %q", m.Path, m.Sum)
	}
	c.Hashes = []hash{{Algorithm: "SHA-256", Content: hex.EncodeToString(sum)}}
	return c, nil
}

func describe(kind, path, version string) (component, error) {
	c := component{Type: kind, Name: path, Version: version, PURL: "pkg:golang/" + path + "@" + url.QueryEscape(version)}
	c.Ref = c.PURL
	for _, id := range licences.Of(path) {
		c.Licenses = append(c.Licenses, license{licenseID{id}})
	}
	if len(c.Licenses) == 0 {
		return component{}, fmt.Errorf("%s is not in internal/licences: run go test ./internal/licences -update", path)
	}
	return c, nil
}
