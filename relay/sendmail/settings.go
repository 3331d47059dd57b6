package sendmail

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"go.yaml.in/yaml/v3"

	"graphrelay/internal/mailaddr"
)

// ServerVariable is the environment variable with the address of the relay.
const ServerVariable = "GRAPHRELAY_SENDMAIL_SERVER"

// settings are what the file of settings says. Every user of the machine may read it.
type settings struct {
	Server  string `yaml:"server"`  // host:port of a listener that asks for no password
	From    string `yaml:"from"`    // sends what has no sender, or one without a domain
	Domain  string `yaml:"domain"`  // of users of this machine
	Aliases string `yaml:"aliases"` // the file of aliases

	servers []string // in the order in which they are tried
	qualify bool     // recipients without a domain get Domain
	file    string   // the settings are from
}

// defaultServers are the port of mail servers, and the one that graphrelay setup gives devices.
var defaultServers = []string{"127.0.0.1:25", "127.0.0.1:2525"}

// settingsFile returns where the settings are unless -C names another file. It is not in the folder
// of the relay's configuration, which is for the relay alone.
func settingsFile() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(cmp.Or(os.Getenv("ProgramData"), `C:\ProgramData`), "graphrelay-sendmail.yaml")
	}
	return "/etc/graphrelay-sendmail.yaml"
}

// maxFile is the size of the largest file of settings or of aliases, in bytes.
const maxFile = 1 << 20

// loadSettings reads the file, which need not exist unless it is named.
func loadSettings(named string, getenv func(string) string) (*settings, error) {
	s := &settings{file: cmp.Or(named, settingsFile())}
	data, err := readFile(s.file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && named == "":
	case err != nil:
		return nil, failf(Config, "the settings cannot be read: %w", err)
	default:
		d := yaml.NewDecoder(bytes.NewReader(data))
		d.KnownFields(true)
		if err := d.Decode(s); err != nil && err != io.EOF {
			// The error would quote the file, which may be any that -C names.
			return nil, failf(Config, "%s is not as it should be; it has the keys server, from, domain and aliases, each with a text", s.file)
		}
	}
	s.Server = cmp.Or(getenv(ServerVariable), s.Server)
	s.Aliases = cmp.Or(s.Aliases, "/etc/aliases")
	s.servers = defaultServers
	if s.Server != "" {
		s.servers = []string{s.Server}
	}
	s.qualify = s.Domain != ""
	s.Domain = cmp.Or(s.Domain, hostName())
	return s, s.check()
}

func (s *settings) check() error {
	if _, port, err := net.SplitHostPort(s.servers[0]); err != nil || port == "" {
		return failf(Config, "server is %q in %s or $%s; write a host and a port, such as 127.0.0.1:2525", s.Server, s.file, ServerVariable)
	}
	if list, err := mailaddr.List(s.From); s.From != "" && (err != nil || len(list) != 1 || list[0] != s.From || !strings.Contains(s.From, "@")) {
		return failf(Config, "from is %q in %s; write one mail address", s.From, s.file)
	}
	if _, err := mailaddr.Domain(s.Domain); s.qualify && err != nil {
		return failf(Config, "domain is %q in %s; write a domain, such as example.com", s.Domain, s.file)
	}
	return nil
}

// readFile reads a regular file of limited size.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, errors.New(path + " is no file, or larger than 1 MB")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}
