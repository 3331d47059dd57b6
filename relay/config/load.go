package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"reflect"
	"regexp"

	"graphrelay/internal/private"
)

// maxFile is the largest size of a configuration file, in bytes.
const maxFile = 1 << 20

// Load reads and checks a configuration file and what it refers to: certificates, keys, files
// with secrets, and environment variables. An error is of type Errors and lists all faults.
func Load(path string) (*Config, error) {
	r := newReport(path)
	data, err := readFile(path, maxFile)
	if err != nil {
		r.fault("", "%s", withRemedy(err, "give the path of a configuration file with --config, or make one with graphrelay setup"))
		return nil, r.err()
	}
	cfg := parse(data, r)
	if cfg != nil {
		checkFiles(cfg, r)
		checkPlaceholders(cfg, r)
	}
	return finish(cfg, r)
}

// dataDirLine is data_dir on a line of its own.
var dataDirLine = regexp.MustCompile(`(?m)^data_dir:.*$`)

// DataDir returns the data_dir of a file, whatever faults the rest of it has: even if it is no YAML,
// as long as data_dir has a line of its own.
func DataDir(path string) (string, error) {
	r := newReport(path)
	data, err := readFile(path, maxFile)
	if err != nil {
		r.fault("", "%s", withRemedy(err, "give the path of a configuration file with --config, or make one with graphrelay setup"))
		return "", r.err()
	}
	cfg := parse(data, r)
	if cfg == nil {
		cfg = parse(dataDirLine.Find(data), newReport(path))
	}
	if cfg == nil || cfg.DataDir == "" {
		return "", r.err()
	}
	return cfg.DataDir, nil
}

// Parse reads and checks a configuration, but neither the files that it refers to nor the
// environment, so that secrets which are kept there stay empty. The path is used in
// messages and for relative paths.
func Parse(data []byte, path string) (*Config, error) {
	r := newReport(path)
	return finish(parse(data, r), r)
}

func finish(cfg *Config, r *report) (*Config, error) {
	if err := r.err(); err != nil {
		return nil, err
	}
	cfg.warnings = r.warnings.sorted().lines()
	return cfg, nil
}

// parse returns the configuration even if there are faults, or nil if too little could be
// read to check it.
func parse(data []byte, r *report) *Config {
	cfg := decode(data, r)
	if cfg != nil {
		resolvePaths(cfg, filepath.Dir(r.file))
		validate(cfg, r)
	}
	return cfg
}

// decode sets the values of the file on top of the defaults.
func decode(data []byte, r *report) *Config {
	root := document(data, r)
	if root == nil {
		return nil
	}
	cfg := Default()
	d := &decoder{report: r, left: maxValues}
	r.marks[""] = mark{line: root.Line}
	d.value(root, "", reflect.ValueOf(cfg).Elem())
	if d.left < 0 {
		r.faults = nil
		r.fault("", "has more than %d values; write shorter lists, with fewer aliases", maxValues)
		return nil
	}
	if r.marks[""].bad {
		return nil
	}
	return cfg
}

// resolvePaths makes relative paths start from the folder of the configuration file.
func resolvePaths(cfg *Config, folder string) {
	paths := []*string{&cfg.DataDir, &cfg.TLS.CertFile, &cfg.TLS.KeyFile, &cfg.Mailboxes.TokenKeyFile, &cfg.Queue.URLFile, &cfg.Log.File, &cfg.Pickup.Folder,
		&cfg.Admin.TLS.CertFile, &cfg.Admin.TLS.KeyFile, &cfg.Admin.OIDC.ClientSecretFile, &cfg.Alerts.Heartbeat.URLFile}
	for i := range cfg.Admin.Operators {
		paths = append(paths, &cfg.Admin.Operators[i].PasswordHashFile)
	}
	for i := range cfg.Admin.Tokens {
		paths = append(paths, &cfg.Admin.Tokens[i].TokenHashFile)
	}
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		paths = append(paths, &l.CertFile, &l.KeyFile, &l.ClientCAFile)
	}
	for i := range cfg.Connections {
		c := &cfg.Connections[i]
		paths = append(paths, &c.ClientSecretFile, &c.ProxyPasswordFile, &c.CAFile,
			&c.CertificateFile, &c.CertificateKeyFile, &c.CertificatePasswordFile, &c.CertificateDirectory, &c.FederatedTokenFile)
	}
	for i := range cfg.Alerts.Webhooks {
		w := &cfg.Alerts.Webhooks[i]
		paths = append(paths, &w.URLFile, &w.SecretFile)
	}
	for i := range cfg.Signatures {
		paths = append(paths, &cfg.Signatures[i].HTMLFile, &cfg.Signatures[i].TextFile)
	}
	for _, path := range paths {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(folder, *path)
		}
	}
}

// readFile reads a file of limited size. Its errors do not show the path, which could be a
// secret in the wrong place.
func readFile(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, readError(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, readError(err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("is larger than %s", Size(limit))
	}
	return data, nil
}

func readError(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("names a file that does not exist")
	}
	if errors.Is(err, fs.ErrPermission) {
		return permissionError{}
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("names a file that cannot be read (%w)", err)
}

// permissionError is the error for a file that this user may not read, or whose folders this
// user may not enter.
type permissionError struct{}

func (permissionError) Error() string {
	return fmt.Sprintf("names a file that the user %[1]s may not read; let that user read it and enter the folders above it, such as with "+private.ReadFor, userName())
}

// userName returns the name of the user that runs the program.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "that runs graphrelay"
}

// withRemedy returns the text of an error of readFile, with a remedy unless it has one.
func withRemedy(err error, remedy string) string {
	if errors.Is(err, permissionError{}) {
		return err.Error()
	}
	return err.Error() + "; " + remedy
}
