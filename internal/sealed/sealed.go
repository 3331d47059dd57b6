// Package sealed encrypts small values that a browser keeps for the program, such as a sign-in
// that was begun. So what nobody completes takes no memory, and nobody else can make or read one.
package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
)

// Key encrypts with AES-256-GCM.
type Key [32]byte

// NewKey returns a random key.
func NewKey() (k Key) {
	_, _ = rand.Read(k[:]) // never fails since Go 1.24
	return k
}

func (k Key) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Seal returns v as a text that only Open of the same key reads, fit for a cookie. v is encoded as
// JSON.
func (k Key) Seal(v any) (string, error) {
	aead, err := k.aead()
	if err != nil {
		return "", err
	}
	plain, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, plain, nil)), nil
}

// Open sets v to what Seal was given, and reports whether text is from it.
func (k Key) Open(text string, v any) bool {
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return false
	}
	aead, err := k.aead()
	if err != nil {
		return false
	}
	plain, err := aead.Open(nil, nil, data, nil)
	return err == nil && json.Unmarshal(plain, v) == nil
}
