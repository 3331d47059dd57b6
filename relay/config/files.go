package config

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
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

// readSecret reads a secret from the file, credential or environment variable that the
// configuration names. Faults do not show that name: it may be the secret itself, by
// mistake.
func readSecret(s secretSource, key string, r *report) {
	key += "." + s.name
	switch {
	case s.value.Reveal() != "":
	case s.file != "":
		*s.value = secretFromFile(s.file, key+"_file", r)
	case s.credential != "":
		*s.value = secretFromFile(credentialPath(s.credential), key+"_credential", r)
	case s.env != "":
		*s.value = secretFromEnv(s.env, key+"_env", r)
	}
}

func secretFromFile(path, key string, r *report) Secret {
	data, err := readFile(path, int64(maxSecret))
	if err != nil {
		r.fault(key, "%s; %s", err, fileRemedy)
		return Secret{}
	}
	warnReadable(key, path, r)
	secret := string(bytes.TrimSpace(data))
	if secret == "" {
		r.fault(key, "names an empty file; put the secret into it")
	}
	return NewSecret(secret)
}

func secretFromEnv(name, key string, r *report) Secret {
	if strings.ContainsFunc(name, func(c rune) bool { return !isWordChar(c) }) {
		r.fault(key, "is not the name of an environment variable; write the name, not the secret itself")
		return Secret{}
	}
	secret := strings.TrimSpace(os.Getenv(name))
	if secret == "" {
		r.fault(key, "names an environment variable that is not set or is empty; set it for the process that runs graphrelay")
	}
	return NewSecret(secret)
}

// warnReadable warns of a secret that every user of the machine can read. Windows has no
// such mode.
func warnReadable(key, path string, r *report) {
	const others fs.FileMode = 0o004
	info, err := os.Stat(path)
	if err == nil && info.Mode()&others != 0 && runtime.GOOS != "windows" {
		r.warn(key, "names a file that every user of this machine can read; remove that permission with: chmod o-r")
	}
}
