package private

import "testing"

// TestServiceSID compares with the SIDs of services that every Windows has (sc showsid).
func TestServiceSID(t *testing.T) {
	for name, want := range map[string]string{
		"TrustedInstaller": "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
		"trustedinstaller": "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
		"WinDefend":        "S-1-5-80-1913148863-3492339771-4165695881-2087618961-4109116736",
	} {
		if got := serviceSID(name); got != want {
			t.Errorf("%s has %s, not %s", name, got, want)
		}
	}
}
