package operators

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"

	"graphrelay/relay/config"
)

// token is the right of a program to use the API.
type token struct {
	person Person
	hash   []byte // SHA-256
}

func newToken(t config.Token) token {
	sum, _ := hex.DecodeString(strings.TrimPrefix(t.TokenHash.Reveal(), config.TokenHashPrefix)) // the configuration was checked
	return token{Person{Name: t.Name, Role: roleOf(t.Role), Way: ByToken}, sum}
}

// tokenPrefix begins each token, so that people and programs see what it is.
const tokenPrefix = "graphrelay_"

// NewToken returns a random token, and its hash for the configuration.
func NewToken() (secret, hash string) {
	secret = tokenPrefix + newSecret()
	sum := sha256.Sum256([]byte(secret))
	return secret, config.TokenHashPrefix + hex.EncodeToString(sum[:])
}

// personOfToken returns whose token it is; the zero value: nobody's. It compares with all of them,
// in the same time.
func (g *Gate) personOfToken(given string) (p Person) {
	sum := sha256.Sum256([]byte(given))
	for _, t := range g.tokens {
		if subtle.ConstantTimeCompare(sum[:], t.hash) == 1 {
			p = t.person
		}
	}
	return p
}
