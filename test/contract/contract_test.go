package contract

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"graphrelay/test/harness"
)

// TestContractCopies compares the copies of the contract's files with the contract, if it
// is there.
func TestContractCopies(t *testing.T) {
	for copied, original := range map[string]string{
		harness.ContractConfig: "relay.yaml",
		"testdata/metrics.txt": "metrics.txt",
	} {
		want, err := os.ReadFile(filepath.Join("../../../shared/contract", original))
		if errors.Is(err, fs.ErrNotExist) {
			harness.SkipUnlessCI(t, "the contract is not here: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(copied)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from the contract's %s", copied, original)
		}
	}
}

// TestContractConfig checks the contract's configuration as it stands, with only a
// certificate added.
func TestContractConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text, err := os.ReadFile(harness.ContractConfig)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "relay.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	harness.WriteCertificate(t, dir)
	if got := harness.Command(t, "", "check", "--config", path); got.Status != 0 {
		t.Errorf("check: status %d\n%s%s", got.Status, got.Stdout, got.Stderr)
	}
}
