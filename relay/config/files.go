package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"graphrelay/internal/private"
)

const (
	maxPEM    = 1 * MiB
	maxSecret = 64 * KiB
)

const fileRemedy = "check the path (a relative one starts from the folder of the configuration file)"

// checkFiles checks the files that the configuration refers to, and reads the secrets.
func checkFiles(cfg *Config, r *report) {
	checkDataDir(cfg.DataDir, writable, r)
	checkLogFile(cfg.Log.File, writable, r)
	checkPickup(cfg, r)
	checkInlineSecrets(cfg, r)
	readTokenKeys(&cfg.Mailboxes, r)
	readSecret(cfg.Queue.url(), "queue", r)
	checkQueueURL(&cfg.Queue, r)
	readAlerts(&cfg.Alerts, r)
	readSignatures(cfg, r)
	checkCertificates(cfg, r)
	readOperators(cfg, r)
	for i := range cfg.Connections {
		c, key := &cfg.Connections[i], fmt.Sprintf("connections[%d]", i)
		readSecret(c.clientSecret(), key, r)
		readSecret(c.proxyPassword(), key, r)
		readSecret(c.certificatePassword(), key, r)
		if c.SignIn == SignInCertificate && c.CertificateFile != "" {
			c.Certificate = readClientCertificate(key, c, r)
		}
		if c.SignIn == SignInCertificate && c.CertificateStore.given() {
			c.Certificate = loadClientCertificate(key, c, r)
		}
		if c.SignIn == SignInCertificate && c.CertificateDirectory != "" {
			c.Managed = openManaged(key, c, r)
		}
		warnExpiry(key, c, time.Now(), r)
		if c.CAFile != "" {
			c.Authorities = readAuthorities(key+".ca_file", c.CAFile, r)
		}
	}
}

func checkDataDir(path string, writable func(folder string) bool, r *report) {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		r.fault("data_dir", "names a file; name a folder")
		return
	}
	checkFolder("data_dir", path, writable, r)
}

// checkLogFile checks where the log goes. Whether it can be written shows when the relay starts.
func checkLogFile(path string, writable func(folder string) bool, r *report) {
	if path == "" {
		return
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		r.fault("log.file", "names a folder or a device; name a file")
		return
	}
	checkFolder("log.file", filepath.Dir(path), writable, r)
}

// checkFolder accepts a folder that does not exist: it is created later. One that this user
// may not write to is only warned of, since the relay may run as another.
func checkFolder(key, path string, writable func(folder string) bool, r *report) {
	existing, err := filepath.Abs(path)
	if err != nil {
		return
	}
	for folder := existing; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) && folder != filepath.Dir(folder) {
			continue
		}
		if !writable(folder) {
			r.warn(key, "is %s, but the user %s may not write to %s; run graphrelay as the user that owns it, or change that with chown, or name another folder", existing, userName(), folder)
		}
		return
	}
}

// checkInlineSecrets warns of secrets within a configuration that others can read.
func checkInlineSecrets(cfg *Config, r *report) {
	if !private.OthersMayRead(r.file) {
		return
	}
	keys := []string{"mailboxes.token_key", "admin.oidc.client_secret"}
	if hasPassword(cfg.Queue.URL.Reveal()) {
		keys = append(keys, "queue.url")
	}
	for i := range cfg.Connections {
		for _, name := range []string{"client_secret", "certificate_password", "proxy_password"} {
			keys = append(keys, fmt.Sprintf("connections[%d].%s", i, name))
		}
	}
	for i := range cfg.Alerts.Webhooks {
		keys = append(keys, fmt.Sprintf("alerts.webhooks[%d].url", i), fmt.Sprintf("alerts.webhooks[%d].secret", i))
	}
	keys = append(keys, "alerts.heartbeat.url")
	for _, key := range keys {
		if r.has(key) {
			r.warn(key, "is a secret in a file that %s can read; remove that permission with %s, or move the secret into a file of its own, as %s_file", private.Others, private.FileRemedy, key[strings.LastIndexByte(key, '.')+1:])
		}
	}
}
