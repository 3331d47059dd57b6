package config

// Cloud is one of Microsoft's clouds. Each has its own tenants, applications and tokens.
type Cloud string

// The clouds. GCC of the US Government is part of the global one.
const (
	CloudGlobal   Cloud = "global"
	CloudUSGov    Cloud = "usgov"    // GCC High (L4)
	CloudUSGovDoD Cloud = "usgovdod" // the Department of Defense (L5)
	CloudChina    Cloud = "china"    // operated by 21Vianet
)

// Values implements enumeration.
func (Cloud) Values() []string {
	return values(CloudGlobal, CloudUSGov, CloudUSGovDoD, CloudChina)
}

// Missing is what the Graph of a cloud does not have of the global one's mail.
type Missing struct {
	Uploads         bool // attachment: createUploadSession, so a file has less than 3 MB
	PermanentDelete bool // message: permanentDelete, so deleted items stay in Recoverable Items
	Headers         bool // internetMessageHeaders of a message, so X- fields are not carried
}

// cloud is what is known of a cloud.
type cloud struct {
	endpoints Endpoints
	missing   Missing
	uploads   string // where upload sessions are, without a slash at the end; empty: not known
}

// about returns what is known of the cloud.
//
// The endpoints are those of https://learn.microsoft.com/graph/deployments (Microsoft Graph
// national cloud deployments). That page has login.chinacloudapi.cn for China; MSAL uses
// login.partner.microsoftonline.cn instead.
//
// What is missing comes from two sources that agree: the tables "National cloud deployments"
// of the pages attachment-createuploadsession and message-permanentdelete, and the metadata
// of each cloud (microsoftgraph/msgraph-metadata, schemas/v1.0-Fairfax.csdl for the US
// Government and v1.0-Mooncake.csdl for China, August 2026). That metadata alone shows
// that China's message has no internetMessageHeaders.
func (c Cloud) about() cloud {
	const loginUS = "https://login.microsoftonline.us"
	missingUS := Missing{Uploads: true, PermanentDelete: true}
	switch c {
	case CloudUSGov:
		return cloud{endpoints: Endpoints{loginUS, "https://graph.microsoft.us"}, missing: missingUS}
	case CloudUSGovDoD:
		return cloud{endpoints: Endpoints{loginUS, "https://dod-graph.microsoft.us"}, missing: missingUS}
	case CloudChina:
		return cloud{endpoints: Endpoints{"https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn"},
			missing: Missing{PermanentDelete: true, Headers: true}}
	}
	return cloud{endpoints: Endpoints{"https://login.microsoftonline.com", "https://graph.microsoft.com"}, uploads: "https://outlook.office.com"}
}

// UploadHost returns the base URL of the host to which files of 3 MB and more are most likely
// uploaded, as users have seen it: Graph names it only for a draft that exists. It is empty if
// that is not known.
func (c *Connection) UploadHost() string {
	if about := c.Cloud.about(); c.Endpoints == about.endpoints {
		return about.uploads
	}
	return ""
}

// Endpoints returns the addresses of the cloud's sign-in and Graph.
func (c Cloud) Endpoints() Endpoints { return c.about().endpoints }

// Missing returns what the connection has to do without. With endpoints of its own, it counts
// as one of the global cloud.
func (c *Connection) Missing() Missing {
	m := c.Cloud.about().missing
	m.Uploads = m.Uploads || c.Uploads == UploadsOff
	return m
}

// Uploads is whether files of 3 MB and more go by upload session.
type Uploads string

// The values of Uploads.
const (
	UploadsAuto Uploads = "auto" // where the cloud has them
	UploadsOff  Uploads = "off"
)

// Values implements enumeration.
func (Uploads) Values() []string {
	return values(UploadsAuto, UploadsOff)
}
