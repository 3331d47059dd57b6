package certstore

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"graphrelay/internal/testcert"
)

var (
	crypt32     = windows.NewLazySystemDLL("crypt32.dll")
	setProperty = crypt32.NewProc("CertSetCertificateContextProperty")
	importKey   = advapi32.NewProc("CryptImportKey")
)

// keyProvider is CRYPT_KEY_PROV_INFO.
type keyProvider struct {
	container, provider   *uint16
	kind, flags, settings uint32
	_                     uintptr
	spec                  uint32
}

const (
	rsaAES      = 24 // PROV_RSA_AES
	keyExchange = 1  // AT_KEYEXCHANGE
)

// keep puts a key into a container of a provider of its user: Wine looks for keys of machines there, too.
func keep(t *testing.T, container string, key *rsa.PrivateKey) {
	t.Helper()
	var provider windows.Handle
	if err := windows.CryptAcquireContext(&provider, windows.StringToUTF16Ptr(container), nil, rsaAES, windows.CRYPT_NEWKEYSET); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = windows.CryptReleaseContext(provider, 0) }()
	blob := privateKeyBlob(key)
	var handle windows.Handle
	if done, _, err := importKey.Call(uintptr(provider), uintptr(unsafe.Pointer(&blob[0])), uintptr(len(blob)), 0, 0, uintptr(unsafe.Pointer(&handle))); done == 0 {
		t.Fatal(err)
	}
}

// privateKeyBlob returns a key as PRIVATEKEYBLOB, which has the lowest bytes first.
func privateKeyBlob(key *rsa.PrivateKey) []byte {
	size := key.Size()
	blob := append([]byte{7, 2, 0, 0, 0, 0xa4, 0, 0}, "RSA2"...) // CALG_RSA_KEYX
	blob = binary.LittleEndian.AppendUint32(blob, uint32(key.N.BitLen()))
	blob = binary.LittleEndian.AppendUint32(blob, uint32(key.E))
	add := func(n *big.Int, size int) {
		bytes := n.FillBytes(make([]byte, size))
		slices.Reverse(bytes)
		blob = append(blob, bytes...)
	}
	add(key.N, size)
	for _, n := range []*big.Int{key.Primes[0], key.Primes[1], key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv} {
		add(n, size/2)
	}
	add(key.D, size)
	return blob
}

// put adds a certificate to a store of the machine, with a key in a container unless that is empty.
func put(t *testing.T, store string, c *x509.Certificate, container string) {
	t.Helper()
	context, err := windows.CertCreateCertificateContext(windows.X509_ASN_ENCODING, &c.Raw[0], uint32(len(c.Raw)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = windows.CertFreeCertificateContext(context) }()
	if container != "" {
		info := keyProvider{container: windows.StringToUTF16Ptr(container), kind: rsaAES, spec: keyExchange}
		if done, _, err := setProperty.Call(uintptr(unsafe.Pointer(context)), 2, 0, uintptr(unsafe.Pointer(&info))); done == 0 {
			t.Fatal(err)
		}
	}
	change(t, store, func(handle windows.Handle) error {
		return windows.CertAddCertificateContextToStore(handle, context, windows.CERT_STORE_ADD_REPLACE_EXISTING, nil)
	})
}

// change opens a store for a change. What has changed is kept when the store is closed.
func change(t *testing.T, store string, do func(windows.Handle) error) {
	t.Helper()
	handle, err := windows.CertOpenStore(windows.CERT_STORE_PROV_SYSTEM_W, 0, 0, windows.CERT_SYSTEM_STORE_LOCAL_MACHINE, uintptr(unsafe.Pointer(windows.StringToUTF16Ptr(store))))
	if err != nil {
		t.Skipf("the store of the machine cannot be changed: %v", err)
	}
	if err := do(handle); err != nil {
		t.Error(err)
	}
	if err := windows.CertCloseStore(handle, 0); err != nil {
		t.Error(err)
	}
}

// temporarily is put until the end of the test.
func temporarily(t *testing.T, store string, c *x509.Certificate, container string) {
	t.Helper()
	put(t, store, c, container)
	t.Cleanup(func() {
		change(t, store, func(handle windows.Handle) error {
			var each *windows.CertContext
			for {
				if each, _ = windows.CertEnumCertificatesInStore(handle, each); each == nil {
					return nil
				}
				if bytes.Equal(encoded(each), c.Raw) {
					return windows.CertDeleteCertificateFromStore(each)
				}
			}
		})
	})
}

// TestImport puts the certificates and the key of a folder into the store, for the test of the program.
func TestImport(t *testing.T) {
	folder := os.Getenv("GRAPHRELAY_TEST_IMPORT")
	if folder == "" {
		t.Skip("the test of the program runs this")
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		return block.Bytes
	}
	key, err := x509.ParsePKCS8PrivateKey(read("leaf.key"))
	if err != nil {
		t.Fatal(err)
	}
	container := filepath.Base(folder)
	keep(t, container, key.(*rsa.PrivateKey))
	for store, name := range map[string]string{own: "leaf.crt", authorities: "intermediate.crt"} {
		c, err := x509.ParseCertificate(read(name))
		if err != nil {
			t.Fatal(err)
		}
		if store == authorities {
			put(t, store, c, "")
		} else {
			put(t, store, c, container)
		}
	}
}

func TestMachine(t *testing.T) {
	key := testcert.RSAKey(t)
	root := testcert.NewAuthority(t)
	between := root.Intermediate("between")
	leaf := func(name string, end time.Duration) *x509.Certificate {
		return between.Sign(&x509.Certificate{Subject: pkix.Name{CommonName: name, Organization: []string{"Contoso"}}, DNSNames: []string{name}, NotAfter: time.Now().Add(end)}, key.Public())
	}
	container := fmt.Sprintf("graphrelay-test-%d", time.Now().UnixNano())
	keep(t, container, key.(*rsa.PrivateKey))
	t.Cleanup(func() {
		var gone windows.Handle
		_ = windows.CryptAcquireContext(&gone, windows.StringToUTF16Ptr(container), nil, rsaAES, windows.CRYPT_DELETEKEYSET)
	})
	old, renewed := leaf("machine.test", 30*day), leaf("machine.test", 60*day)
	temporarily(t, authorities, between.Cert, "")
	temporarily(t, own, old, container)
	got := loaded(t, Query{Subject: "machine.test"}, nil, old)
	if len(got.Certificate) != 2 {
		t.Errorf("the chain has %d certificates", len(got.Certificate))
	}
	handshake(t, got, root, "machine.test")
	temporarily(t, own, renewed, container)
	again := loaded(t, Query{Subject: "CN=machine.test, O=Contoso"}, got, renewed)
	if same := loaded(t, Query{Subject: "machine.test"}, again, renewed); same != again {
		t.Error("the key was opened again")
	}
	loaded(t, Query{Thumbprint: thumbprint(old)}, nil, old)

	temporarily(t, own, leaf("keyless.test", day), "")
	temporarily(t, own, leaf("denied.test", day), container+"-none")
	for subject, want := range map[string]string{
		"keyless.test": "finds only CN=keyless.test, O=Contoso (thumbprint ",
		"denied.test":  "cannot use its private key (it is not there, or access is denied: 0x8009",
		"missing.test": "finds no certificate with the subject missing.test in LocalMachine\\My, which has CN=",
	} {
		if _, err := Load(Query{Subject: subject}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", subject, err, want)
		}
	}
}

func loaded(t *testing.T, q Query, current *tls.Certificate, want *x509.Certificate) *tls.Certificate {
	t.Helper()
	got, err := Load(q, current)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Leaf.Equal(want) {
		t.Fatalf("%s: got the certificate that ends at %v", q, got.Leaf.NotAfter)
	}
	return got
}

// handshake has a client verify a server with the certificate.
func handshake(t *testing.T, c *tls.Certificate, root *testcert.Authority, name string) {
	t.Helper()
	settings := &tls.Config{Certificates: []tls.Certificate{*c}}
	if !SignsPSS(c) {
		settings.MaxVersion = tls.VersionTLS12
	}
	here, there := net.Pipe()
	go func() { _ = tls.Server(there, settings).Handshake() }()
	client := tls.Client(here, &tls.Config{RootCAs: root.Pool, ServerName: name})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, signs with RSA-PSS: %v", tls.VersionName(client.ConnectionState().Version), SignsPSS(c))
}

// cng makes a key of CNG that is in no store, and returns its public part as a blob after the header of size bytes.
func cng(t *testing.T, algorithm, blobType string, header int) (*key, []byte) {
	t.Helper()
	call := func(name string, args ...uintptr) {
		t.Helper()
		if status, _, _ := ncrypt.NewProc(name).Call(args...); status != 0 {
			if algorithm == "RSA" { // Wine has these; it lacks those with curves
				t.Fatalf("%s of an %s key: %#x", name, algorithm, uint32(status))
			}
			t.Skipf("%s of an %s key: %#x", name, algorithm, uint32(status))
		}
	}
	text := func(s string) uintptr { return uintptr(unsafe.Pointer(windows.StringToUTF16Ptr(s))) }
	k := &key{spec: windows.CERT_NCRYPT_KEY_SPEC}
	var provider windows.Handle
	call("NCryptOpenStorageProvider", uintptr(unsafe.Pointer(&provider)), text("Microsoft Software Key Storage Provider"), 0)
	call("NCryptCreatePersistedKey", uintptr(provider), uintptr(unsafe.Pointer(&k.handle)), text(algorithm), 0, 0, 0)
	if bits := uint32(2048); algorithm == "RSA" {
		call("NCryptSetProperty", uintptr(k.handle), text("Length"), uintptr(unsafe.Pointer(&bits)), 4, 0)
	}
	call("NCryptFinalizeKey", uintptr(k.handle), 0)
	blob, size := make([]byte, 4096), uint32(0)
	call("NCryptExportKey", uintptr(k.handle), 0, text(blobType), 0, uintptr(unsafe.Pointer(&blob[0])), uintptr(len(blob)), uintptr(unsafe.Pointer(&size)), 0)
	return k, blob[header:size]
}

func TestCNG(t *testing.T) {
	digest := sha256.Sum256([]byte("text"))
	t.Run("RSA", func(t *testing.T) {
		k, public := cng(t, "RSA", "RSAPUBLICBLOB", 24)
		e := len(public) - 256
		rsaKey := &rsa.PublicKey{E: int(new(big.Int).SetBytes(public[:e]).Int64()), N: new(big.Int).SetBytes(public[e:])}
		k.public = rsaKey
		signature, err := k.Sign(nil, digest[:], crypto.SHA256)
		if err == nil {
			err = rsa.VerifyPKCS1v15(rsaKey, crypto.SHA256, digest[:], signature)
		}
		if err != nil {
			t.Errorf("PKCS #1 v1.5: %v", err)
		}
		pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		if signature, err = k.Sign(nil, digest[:], pss); err == nil {
			err = rsa.VerifyPSS(rsaKey, crypto.SHA256, digest[:], signature, pss)
		}
		if err != nil {
			t.Errorf("RSA-PSS: %v", err)
		}
		releaseKey(handle{k.handle, k.spec})
	})
	t.Run("ECDSA", func(t *testing.T) {
		k, public := cng(t, "ECDSA_P256", "ECCPUBLICBLOB", 8)
		ecdsaKey, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, public...))
		if err != nil {
			t.Fatal(err)
		}
		k.public = ecdsaKey
		signature, err := k.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil || !ecdsa.VerifyASN1(ecdsaKey, digest[:], signature) {
			t.Errorf("%v", err)
		}
		releaseKey(handle{k.handle, k.spec})
	})
}
