//go:build !windows

package certstore

import (
	"crypto"
	"crypto/x509"
	"errors"
)

// machine stands for a store that this system does not have.
type machine struct{}

var errElsewhere = errors.New("needs the certificate store of Windows, which this system does not have; name files instead")

func (machine) read() ([]entry, []*x509.Certificate, error) { return nil, nil, errElsewhere }

func (machine) key(*x509.Certificate) (crypto.Signer, error) { return nil, errElsewhere }
