package console

import (
	"net/http"
	"slices"
)

// auditPage lists what operators did.
func auditPage() page {
	return page{path: "audit", name: "Audit", title: "Audit log", file: "audit.html", view: (*Console).audit}
}

// maxAudits is how many records the page shows.
const maxAudits = 500

// audit returns the newest records, newest first.
func (c *Console) audit(r *http.Request) (any, error) {
	list, err := c.cfg.Ops.Audits(r.Context(), maxAudits)
	slices.Reverse(list)
	return list, err
}
