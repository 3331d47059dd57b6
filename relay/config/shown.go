package config

// Setting is a setting as people see it.
type Setting struct {
	Key     string `json:"key"`   // such as connections[contoso].tenant
	Value   string `json:"value"` // the text of a secret is not in it
	Default bool   `json:"default"`
}

// Settings returns all settings of the configuration that are not empty, in the order of the file,
// with the defaults among them. The text of a secret is not in them.
func (c *Config) Settings() []Setting {
	all, defaults := settingsOf(c), settingsOf(Default())
	list := make([]Setting, 0, len(all.keys))
	for _, key := range all.keys {
		v := all.values[key]
		list = append(list, Setting{key, v.shown(), v == defaults.values[key]})
	}
	return list
}
