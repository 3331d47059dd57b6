package certstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// key is a private key in the store.
type key struct {
	public crypto.PublicKey
	handle windows.Handle
	spec   uint32     // windows.CERT_NCRYPT_KEY_SPEC for a handle of CNG; else that of a provider before CNG
	using  sync.Mutex // not every provider can be used from several threads
}

// openKey opens the key of a certificate, through CNG where that can be: Windows reaches the keys of its own older
// providers through CNG, too. The handle is released when nobody has the key any more.
func openKey(c *windows.CertContext, public crypto.PublicKey) (*key, error) {
	k := &key{public: public}
	var release bool
	const flags = windows.CRYPT_ACQUIRE_PREFER_NCRYPT_KEY_FLAG | windows.CRYPT_ACQUIRE_SILENT_FLAG
	if err := windows.CryptAcquireCertificatePrivateKey(c, flags, nil, &k.handle, &k.spec, &release); err != nil {
		return nil, explained(err)
	}
	if release {
		runtime.AddCleanup(k, releaseKey, handle{k.handle, k.spec})
	}
	return k, nil
}

type handle struct {
	windows.Handle
	spec uint32
}

func releaseKey(h handle) {
	if h.spec == windows.CERT_NCRYPT_KEY_SPEC {
		_, _, _ = freeObject.Call(uintptr(h.Handle))
		return
	}
	_ = windows.CryptReleaseContext(h.Handle, 0)
}

// Public implements crypto.Signer.
func (k *key) Public() crypto.PublicKey { return k.public }

// Sign implements crypto.Signer.
func (k *key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	if len(digest) == 0 || len(digest) != opts.HashFunc().Size() {
		return nil, errors.New("the digest has not the length of its hash")
	}
	k.using.Lock()
	defer k.using.Unlock()
	if k.spec == windows.CERT_NCRYPT_KEY_SPEC {
		signature, err = k.signCNG(digest, opts)
	} else {
		signature, err = k.signCSP(digest, opts)
	}
	runtime.KeepAlive(k)
	return signature, explained(err)
}

var (
	ncrypt     = windows.NewLazySystemDLL("ncrypt.dll")
	signHash   = ncrypt.NewProc("NCryptSignHash")
	freeObject = ncrypt.NewProc("NCryptFreeObject")
)

// cngNames are the hashes by the names that CNG has for them. That of TLS before 1.2 is signed without a name
// (BCRYPT_PKCS1_PADDING_INFO).
var cngNames = map[crypto.Hash]string{crypto.MD5SHA1: "", crypto.SHA1: "SHA1", crypto.SHA256: "SHA256", crypto.SHA384: "SHA384", crypto.SHA512: "SHA512"}

// padding is BCRYPT_PKCS1_PADDING_INFO, or BCRYPT_PSS_PADDING_INFO, which has a field more.
type padding struct {
	hash *uint16
	salt uint32
}

// signCNG signs with NCryptSignHash.
func (k *key) signCNG(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	const pkcs1, pss, silent = 0x2, 0x8, 0x40 // BCRYPT_PAD_PKCS1, BCRYPT_PAD_PSS, NCRYPT_SILENT_FLAG
	var info *padding
	flags := uintptr(silent)
	if _, isRSA := k.public.(*rsa.PublicKey); isRSA {
		name, known := cngNames[opts.HashFunc()]
		if !known {
			return nil, fmt.Errorf("it does not sign %s", opts.HashFunc())
		}
		info = &padding{salt: uint32(len(digest))} // as TLS and JWS have it
		if name != "" {
			info.hash = windows.StringToUTF16Ptr(name)
		}
		if _, isPSS := opts.(*rsa.PSSOptions); isPSS {
			flags |= pss
		} else {
			flags |= pkcs1
		}
	}
	var size uint32
	call := func(to *byte, room int) error {
		status, _, _ := signHash.Call(uintptr(k.handle), uintptr(unsafe.Pointer(info)), uintptr(unsafe.Pointer(&digest[0])), uintptr(len(digest)),
			uintptr(unsafe.Pointer(to)), uintptr(room), uintptr(unsafe.Pointer(&size)), flags)
		if status != 0 {
			return syscall.Errno(uint32(status))
		}
		return nil
	}
	if err := call(nil, 0); err != nil {
		return nil, err
	}
	signature := make([]byte, max(size, 1))
	if err := call(&signature[0], len(signature)); err != nil {
		return nil, err
	}
	signature = signature[:size]
	if _, isECDSA := k.public.(*ecdsa.PublicKey); isECDSA { // CNG puts the two numbers one after the other
		half := len(signature) / 2
		return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])})
	}
	return signature, nil
}

var (
	advapi32     = windows.NewLazySystemDLL("advapi32.dll")
	createHash   = advapi32.NewProc("CryptCreateHash")
	setHashParam = advapi32.NewProc("CryptSetHashParam")
	signCSPHash  = advapi32.NewProc("CryptSignHashW")
	destroyHash  = advapi32.NewProc("CryptDestroyHash")
)

// cspIDs are the hashes by their ALG_ID.
var cspIDs = map[crypto.Hash]uintptr{crypto.MD5SHA1: 0x8008, crypto.SHA1: 0x8004, crypto.SHA256: 0x800c, crypto.SHA384: 0x800d, crypto.SHA512: 0x800e}

// signCSP signs with a provider that CNG does not reach, which knows only PKCS #1 v1.5.
func (k *key) signCSP(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	_, isRSA := k.public.(*rsa.PublicKey)
	id, known := cspIDs[opts.HashFunc()]
	if _, isPSS := opts.(*rsa.PSSOptions); isPSS || !known || !isRSA {
		return nil, fmt.Errorf("its provider, which is older than CNG, does not sign %s in this way", opts.HashFunc())
	}
	var hash windows.Handle
	if done, _, err := createHash.Call(uintptr(k.handle), id, 0, 0, uintptr(unsafe.Pointer(&hash))); done == 0 {
		return nil, err
	}
	defer func() { _, _, _ = destroyHash.Call(uintptr(hash)) }()
	const value = 2 // HP_HASHVAL
	if done, _, err := setHashParam.Call(uintptr(hash), value, uintptr(unsafe.Pointer(&digest[0])), 0); done == 0 {
		return nil, err
	}
	signature := make([]byte, k.public.(*rsa.PublicKey).Size())
	size := uint32(len(signature))
	if done, _, err := signCSPHash.Call(uintptr(hash), uintptr(k.spec), 0, 0, uintptr(unsafe.Pointer(&signature[0])), uintptr(unsafe.Pointer(&size))); done == 0 {
		return nil, err
	}
	slices.Reverse(signature[:size]) // it has the lowest byte first
	return signature[:size], nil
}

// denied are the errors of Windows for a key that is not there or that the user may not use.
var denied = []windows.Handle{windows.NTE_BAD_KEYSET, windows.NTE_PERM, windows.NTE_NO_KEY, windows.NTE_NOT_FOUND, windows.CRYPT_E_NO_KEY_PROPERTY, 0x80070005 /* E_ACCESSDENIED */}

// explained returns an error of Windows such that errDenied is among its causes if it is one.
func explained(err error) error {
	var code syscall.Errno
	if errors.As(err, &code) && (code == windows.ERROR_ACCESS_DENIED || slices.Contains(denied, windows.Handle(code))) {
		return fmt.Errorf("%w: %#x", errDenied, uint32(code))
	}
	return err
}
