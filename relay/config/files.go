package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
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

	// renewalNotice is how long before its end a certificate is warned of.
	renewalNotice = 14 * 24 * time.Hour
)

const fileRemedy = "check the path, which is taken from the folder of the configuration file unless it is absolute"

// checkFiles checks what the configuration refers to and reads the secrets.
func checkFiles(cfg *Config, r *report) {
	checkDataDir(cfg.DataDir, r)
	checkKeyPair(cfg.TLS, r)
	for i := range cfg.Connections {
		readSecret(&cfg.Connections[i], fmt.Sprintf("connections[%d]", i), r)
	}
}

// checkDataDir takes a folder that does not exist for good: it is made later.
func checkDataDir(path string, r *report) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		r.fault("data_dir", "names a file; name a folder")
	}
}

func checkKeyPair(t TLS, r *report) {
	cert := readPEM("tls.cert_file", t.CertFile, r)
	key := readPEM("tls.key_file", t.KeyFile, r)
	if key != nil {
		warnReadable("tls.key_file", t.KeyFile, r)
	}
	if cert == nil {
		return
	}
	leaf, err := firstCertificate(cert)
	if err != nil {
		r.fault("tls.cert_file", "names a file without a usable certificate (%s); name a PEM file with the certificate and its chain", err)
		return
	}
	warnValidity(leaf, time.Now(), r)
	if key == nil {
		return
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		reportKey(strings.TrimPrefix(err.Error(), "tls: "), r)
	}
}

func reportKey(problem string, r *report) {
	if strings.Contains(problem, "does not match") {
		r.fault("tls.key_file", "names a key that does not belong to the certificate in cert_file; name the key that the certificate was made for")
		return
	}
	r.fault("tls.key_file", "names a file without a usable key (%s); name a PEM file with the certificate's key, not encrypted", problem)
}

// readPEM returns nil for a file that is not named or cannot be read.
func readPEM(key, path string, r *report) []byte {
	if path == "" {
		return nil
	}
	data, err := readFile(path, int64(maxPEM))
	if err != nil {
		r.fault(key, "%s; %s", err, fileRemedy)
		return nil
	}
	return data
}

func firstCertificate(data []byte) (*x509.Certificate, error) {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return nil, errors.New("it holds no CERTIFICATE block")
		}
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
		data = rest
	}
}

// warnValidity does not refuse: a relay that stops at the end of a certificate
// helps nobody, since many clients never look at it.
func warnValidity(leaf *x509.Certificate, now time.Time, r *report) {
	const key, remedy = "tls.cert_file", "renew it"
	end := leaf.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case now.After(leaf.NotAfter):
		r.warn(key, "names a certificate that expired on %s; %s", end, remedy)
	case now.Before(leaf.NotBefore):
		r.warn(key, "names a certificate that is not valid before %s; check the clock", leaf.NotBefore.UTC().Format(time.DateOnly))
	case now.Add(renewalNotice).After(leaf.NotAfter):
		r.warn(key, "names a certificate that expires on %s; %s", end, remedy)
	}
}

// readSecret fills the client secret from where the connection says it is. The
// place is not shown, since the secret itself may stand there by mistake.
func readSecret(c *Connection, key string, r *report) {
	switch {
	case c.ClientSecret.Reveal() != "":
	case c.ClientSecretFile != "":
		c.ClientSecret = secretFromFile(c.ClientSecretFile, key+".client_secret_file", r)
	case c.ClientSecretEnv != "":
		c.ClientSecret = secretFromEnv(c.ClientSecretEnv, key+".client_secret_env", r)
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
		r.fault(key, "names an empty file; put the client secret into it")
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

// warnReadable warns of a secret that every user of the machine can read.
// Windows keeps no such mode.
func warnReadable(key, path string, r *report) {
	const others fs.FileMode = 0o004
	info, err := os.Stat(path)
	if err == nil && info.Mode()&others != 0 && runtime.GOOS != "windows" {
		r.warn(key, "names a file that every user of this machine can read; take that right away with: chmod o-r")
	}
}
