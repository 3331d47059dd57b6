package credential

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"graphrelay/internal/durable"
)

const (
	keyBits = 3072
	maxPEM  = 1 << 20
	// backdate makes a new certificate valid for machines whose clock is behind.
	backdate = 5 * time.Minute
)

// ownNames matches the files with certificates that this package makes.
var ownNames = regexp.MustCompile(`^certificate-[0-9a-f]{16}\.pem(\.new)?$`)

// ownFile reports whether a name is that of a file that this package makes.
func ownFile(name string) bool { return ownNames.MatchString(name) }

func generateKey() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, keyBits) }

// makeKey makes a key with a self-signed certificate and writes them to a file. Nothing refers
// to the file yet.
func (s *Store) makeKey(r role, name string, now time.Time) (*key, error) {
	private, err := s.newKey()
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, SignatureAlgorithm: x509.SHA256WithRSA,
		NotBefore: now.Add(-backdate), NotAfter: now.Add(r.life()), KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	var file bytes.Buffer
	_ = pem.Encode(&file, &pem.Block{Type: "CERTIFICATE", Bytes: der}) // cannot fail in memory
	_ = pem.Encode(&file, &pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
	sum := sha256.Sum256(der)
	k := &key{record: record{File: "certificate-" + hex.EncodeToString(sum[:8]) + ".pem", Role: r, Stage: candidate, Since: now},
		pair: &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}}
	return k, s.write(k.File, file.Bytes())
}

// readPair reads a certificate with its key.
func readPair(path string) (*tls.Certificate, error) {
	data, err := readFile(path, maxPEM)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(data, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	if _, ok := pair.PrivateKey.(*rsa.PrivateKey); !ok {
		return nil, fmt.Errorf("%s has no RSA key", filepath.Base(path))
	}
	return &pair, nil
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", filepath.Base(path), limit)
	}
	return data, err
}

// write replaces a file of the folder durably.
func (s *Store) write(name string, data []byte) error {
	s.touched("before writing " + name)
	staged, err := durable.Stage(s.path(name), data)
	s.touched("before renaming " + name)
	if err == nil {
		err = durable.Rename(staged, s.path(name))
	}
	if err != nil {
		_ = os.Remove(s.path(name) + ".new") // on a full disk, each try would leave another one
		return fmt.Errorf("write the certificates: %w", err)
	}
	s.touched("after writing " + name)
	return nil
}

// remove removes a certificate's file.
func (s *Store) remove(name string) error {
	s.touched("before removing " + name)
	err := os.Remove(s.path(name))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return err
}

// removeStrays removes the files of certificates to which the state does not refer: a crash has
// left them, before they were used for anything. Files with other names stay.
func (s *Store) removeStrays() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	s.mu.Lock()
	known := map[string]bool{}
	for _, k := range s.keys {
		known[k.File] = true
	}
	s.mu.Unlock()
	for _, e := range entries {
		if e.Type().IsRegular() && ownFile(e.Name()) && !known[e.Name()] {
			err = errors.Join(err, s.remove(e.Name()))
		}
	}
	return err
}

// thumbprint returns the SHA-1 of a certificate, by which Entra's pages name it.
func thumbprint(pair *tls.Certificate) string {
	sum := sha1.Sum(pair.Certificate[0])
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}
