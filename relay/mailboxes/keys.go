package mailboxes

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
)

// Keys encrypt refresh tokens: with the first of them, and whatever one of the others had
// encrypted is still opened.
type Keys struct {
	ids     [][keyID]byte
	ciphers []cipher.AEAD
}

const keyID = 4 // bytes that say which key it was

// NewKeys takes keys of 32 bytes (AES-256), the one in use first.
func NewKeys(keys [][]byte) (*Keys, error) {
	k := &Keys{}
	for _, key := range keys {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(append([]byte("graphrelay key id"), key...))
		k.ids, k.ciphers = append(k.ids, [keyID]byte(sum[:])), append(k.ciphers, aead)
	}
	if len(k.ids) == 0 {
		return nil, errors.New("no key")
	}
	return k, nil
}

// bound returns the additional data that binds an encrypted token to its mailbox: it can be
// decrypted in no other place.
func bound(connection, address string) []byte { return []byte(connection + "\x00" + address) }

// seal encrypts a token for a mailbox: the key's ID, the nonce, the cipher text and its tag.
func (k *Keys) seal(token, connection, address string) []byte {
	return k.ciphers[0].Seal(k.ids[0][:], nil, []byte(token), bound(connection, address))
}

var errNoKey = errors.New("none of the keys opens the stored token")

// open decrypts a token. current says that the first key had encrypted it.
func (k *Keys) open(sealed []byte, connection, address string) (token string, current bool, err error) {
	if len(sealed) < keyID {
		return "", false, errNoKey
	}
	for i, aead := range k.ciphers {
		if k.ids[i] != [keyID]byte(sealed) {
			continue
		}
		if plain, err := aead.Open(nil, nil, sealed[keyID:], bound(connection, address)); err == nil {
			return string(plain), i == 0, nil
		}
	}
	return "", false, errNoKey
}
