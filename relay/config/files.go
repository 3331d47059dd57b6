package config

import (
	"fmt"
	"os"
	"time"
)

const (
	maxPEM    = 1 * MiB
	maxSecret = 64 * KiB
)

const fileRemedy = "check the path (a relative one starts from the folder of the configuration file)"

// checkFiles checks the files that the configuration refers to, and reads the secrets.
func checkFiles(cfg *Config, r *report) {
	checkDataDir(cfg.DataDir, r)
	readTokenKeys(&cfg.Mailboxes, r)
	readSignatures(cfg, r)
	checkCertificates(cfg, r)
	for i := range cfg.Connections {
		c, key := &cfg.Connections[i], fmt.Sprintf("connections[%d]", i)
		readSecret(c.clientSecret(), key, r)
		readSecret(c.proxyPassword(), key, r)
		readSecret(c.certificatePassword(), key, r)
		if c.SignIn == SignInCertificate && c.CertificateFile != "" {
			c.Certificate = readClientCertificate(key, c, r)
		}
		warnExpiry(key, c, time.Now(), r)
		if c.CAFile != "" {
			c.Authorities = readAuthorities(key+".ca_file", c.CAFile, r)
		}
	}
}

// checkDataDir accepts a folder that does not exist: it is created later.
func checkDataDir(path string, r *report) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		r.fault("data_dir", "names a file; name a folder")
	}
}
