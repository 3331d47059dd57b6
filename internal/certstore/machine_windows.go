package certstore

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"
)

// machine is the certificate store of this machine.
type machine struct{}

// The system stores of LocalMachine, as CertOpenStore names them: certificates with keys, and intermediate ones.
const (
	own         = "MY"
	authorities = "CA"
)

func (machine) read() (all []entry, issuers []*x509.Certificate, err error) {
	err = each(own, func(c *windows.CertContext) bool {
		// What Go cannot read, it cannot show to clients either.
		if cert, err := x509.ParseCertificate(encoded(c)); err == nil {
			all = append(all, entry{cert, subject(c), hasKey(c)})
		}
		return true
	})
	if err != nil {
		return nil, nil, err
	}
	for _, e := range all {
		issuers = append(issuers, e.Certificate)
	}
	err = each(authorities, func(c *windows.CertContext) bool {
		if cert, err := x509.ParseCertificate(encoded(c)); err == nil {
			issuers = append(issuers, cert)
		}
		return true
	})
	return all, issuers, err
}

func (machine) key(cert *x509.Certificate) (signer crypto.Signer, err error) {
	err = errDenied // it has gone in the meantime
	other := each(own, func(c *windows.CertContext) bool {
		if !bytes.Equal(encoded(c), cert.Raw) {
			return true
		}
		signer, err = openKey(c, cert.PublicKey)
		return false
	})
	if other != nil {
		return nil, other
	}
	return signer, err
}

// each calls do for each certificate in a store of this machine, until it returns false. The certificate is valid
// only during the call.
func each(store string, do func(*windows.CertContext) bool) error {
	name, err := windows.UTF16PtrFromString(store)
	if err != nil {
		return err
	}
	const flags = windows.CERT_SYSTEM_STORE_LOCAL_MACHINE | windows.CERT_STORE_READONLY_FLAG | windows.CERT_STORE_OPEN_EXISTING_FLAG
	handle, err := windows.CertOpenStore(windows.CERT_STORE_PROV_SYSTEM_W, 0, 0, flags, uintptr(unsafe.Pointer(name)))
	runtime.KeepAlive(name)
	if err != nil {
		return fmt.Errorf(`cannot open the store LocalMachine\%s: %w`, store, err)
	}
	defer func() { _ = windows.CertCloseStore(handle, 0) }()
	var c *windows.CertContext
	for {
		// The call frees the one before. Its error says only that there are no more.
		if c, _ = windows.CertEnumCertificatesInStore(handle, c); c == nil {
			return nil
		}
		if !do(c) {
			return windows.CertFreeCertificateContext(c)
		}
	}
}

// encoded returns the DER of a certificate, in memory of Go.
func encoded(c *windows.CertContext) []byte {
	return bytes.Clone(unsafe.Slice(c.EncodedCert, c.Length))
}

// subject returns the subject of a certificate as the Subject in PowerShell has it.
func subject(c *windows.CertContext) string {
	const x500, reversed = 3, 1 << 25 // CERT_X500_NAME_STR and CERT_NAME_STR_REVERSE_FLAG
	format := uint32(x500 | reversed)
	size := windows.CertGetNameString(c, windows.CERT_NAME_RDN_TYPE, 0, unsafe.Pointer(&format), nil, 0)
	text := make([]uint16, max(size, 1))
	windows.CertGetNameString(c, windows.CERT_NAME_RDN_TYPE, 0, unsafe.Pointer(&format), &text[0], size)
	return windows.UTF16ToString(text)
}

var getProperty = windows.NewLazySystemDLL("crypt32.dll").NewProc("CertGetCertificateContextProperty")

// hasKey reports whether the store knows of a private key of the certificate. Whether this user may use it shows when
// it is used.
func hasKey(c *windows.CertContext) bool {
	const keyProviderInfo = 2 // CERT_KEY_PROV_INFO_PROP_ID
	var size uint32
	found, _, _ := getProperty.Call(uintptr(unsafe.Pointer(c)), keyProviderInfo, 0, uintptr(unsafe.Pointer(&size)))
	return found != 0
}
