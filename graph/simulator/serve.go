package simulator

import (
	"net/http"
	"strings"
	"time"
)

// handler executes a call and returns its answer. Its errors are answered by asAPIError.
type handler func(*call) (response, error)

// admission checks a call before it is executed. The release function that it returns is
// never nil. It has to be called at the end of the call.
type admission func(*call) (release func(), err error)

// routes returns the handler of all requests.
func (s *Simulator) routes() http.Handler {
	root := http.NewServeMux()
	root.Handle("/v1.0/", alternateKeys(s.mailRoutes()))
	root.Handle("/api/v2.0/", s.uploadRoutes())
	root.Handle("/_simulator/", s.controlRoutes())
	s.pageRoutes(root)
	root.HandleFunc(imdsPath, s.serveManagedIdentity)
	root.HandleFunc(appServicePath, s.serveManagedIdentity)
	root.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		switch tenant, endpoint, _ := strings.Cut(r.URL.Path[1:], "/"); endpoint {
		case "oauth2/v2.0/token":
			s.serveLogin(w, r, OpToken, func(c *call) (response, *oauthError) { return c.token(tenant) })
		case "oauth2/v2.0/devicecode":
			s.serveLogin(w, r, OpDeviceCode, func(c *call) (response, *oauthError) { return c.deviceCode(tenant) })
		case "oauth2/v2.0/authorize":
			s.serveAuthorize(w, r, tenant)
		case "oauth2/deviceauth":
			s.serveDeviceAuth(w, r)
		default:
			http.NotFound(w, r)
		}
	})
	return root
}

// mailRoutes serves the requests below /v1.0.
func (s *Simulator) mailRoutes() http.Handler {
	const (
		user     = "/v1.0/users/{mailbox}"
		messages = user + "/messages"
		message  = messages + "/{id}"
		files    = message + "/attachments"
	)
	mux := http.NewServeMux()
	handle := func(pattern string, op Operation, run handler) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serveMail(w, r, op, run) })
	}
	handle("POST "+messages, OpCreate, (*call).create)
	handle("GET "+messages, OpList, (*call).list)
	handle("POST "+user+"/mailFolders/{folder}/messages", OpCreate, (*call).create)
	handle("GET "+user+"/mailFolders/{folder}/messages", OpList, (*call).list)
	handle("GET "+message, OpGet, (*call).get)
	handle("PATCH "+message, OpPatch, (*call).patch)
	handle("DELETE "+message, OpDelete, (*call).delete)
	handle("POST "+message+"/permanentDelete", OpPermanentDelete, (*call).permanentDelete)
	handle("POST "+message+"/microsoft.graph.permanentDelete", OpPermanentDelete, (*call).permanentDelete)
	handle("GET "+message+"/$value", OpGetMIME, (*call).getMIME)
	handle("POST "+files, OpAttachment, (*call).attach)
	handle("GET "+files, OpListAttachments, (*call).listAttachments)
	handle("GET "+files+"/{attachment}", OpListAttachments, (*call).getAttachment)
	handle("POST "+files+"/createUploadSession", OpCreateSession, (*call).createSession)
	handle("POST "+files+"/microsoft.graph.createUploadSession", OpCreateSession, (*call).createSession)
	handle("POST "+message+"/send", OpSend, (*call).send)
	handle("POST "+message+"/microsoft.graph.send", OpSend, (*call).send)
	handle("POST "+user+"/sendMail", OpSendMail, (*call).sendMail)
	handle("POST "+user+"/microsoft.graph.sendMail", OpSendMail, (*call).sendMail)
	mux.HandleFunc("GET /v1.0/users", s.serveUsers)
	s.directoryRoutes(mux)
	handle("/v1.0/", OpUnknown, (*call).unknown)
	return mux
}

func (c *call) unknown() (response, error) {
	if strings.HasPrefix(c.r.URL.Path, "/v1.0/me/") {
		return response{}, badRequest("BadRequest", "/me request is only valid with delegated authentication flow.")
	}
	return response{}, badRequest("BadRequest", "Resource not found for the segment, or the method is not allowed on it: %s %s",
		c.r.Method, c.r.URL.Path)
}

func (s *Simulator) serveMail(w http.ResponseWriter, r *http.Request, op Operation, run handler) {
	c := s.newCall(r, op)
	if op == OpCreate && c.mediaType() == "text/plain" {
		c.op = OpCreateMIME
	}
	c.mailbox = s.resolveAddress(r.PathValue("mailbox"))
	c.itemID = r.PathValue("id")
	s.checkContract(c)
	s.serve(w, c, (*call).admitMail, run)
}

// admitMail checks the token, then the mailbox's limits, then that the mailbox exists and the
// token is for it. What the world says of the mailbox comes before its existence.
func (c *call) admitMail() (func(), error) {
	if err := c.authenticate(); err != nil {
		return func() {}, err
	}
	release, err := c.acquireSlot()
	if err != nil || c.op == OpUnknown {
		return release, err
	}
	if err := c.checkMailbox(); err != nil {
		return release, err
	}
	if !c.sim.mailboxExists(c.mailbox) {
		return release, refuse(http.StatusNotFound, "ErrorInvalidUser", "The requested user '%s' is invalid.", c.r.PathValue("mailbox"))
	}
	if c.itemID != "" && c.sim.world().ItemFirst {
		c.sim.mu.Lock()
		_, err := c.find()
		c.sim.mu.Unlock()
		if err != nil {
			return release, err
		}
	}
	return release, c.checkPermission()
}

// serve admits a call, applies faults, executes it, records it, and writes the answer.
func (s *Simulator) serve(w http.ResponseWriter, c *call, admit admission, run handler) {
	release, err := admit(c)
	result := outcome{}
	if err != nil {
		result.response = asAPIError(err).response(c)
	} else {
		result = c.execute(run)
	}
	if result.response.status >= http.StatusBadRequest && !result.lost {
		c.drain()
	}
	c.rememberRefusal(result.response.status)
	// Release before writing: the client may send its next request once it has the answer.
	release()
	s.record(c, result)
	if result.lost {
		reset(w)
		return
	}
	c.write(w, result.response)
}

// outcome is the result of a call.
type outcome struct {
	response response
	lost     bool // the client does not get the answer
	fault    int  // id of the fault that acted, 0 if none
}

// execute runs a call, with the fault that acts on it.
func (c *call) execute(run handler) outcome {
	if c.op != OpToken && c.op != OpDeviceCode {
		defer func() { c.sim.sleep(c.sim.options.Latency - time.Since(c.started)) }()
	}
	fault := c.sim.takeFault(c)
	c.sim.sleep(fault.Latency)
	if fault.ID != 0 && !fault.After {
		if result, done := fault.apply(c, outcome{fault: fault.ID}); done {
			return result
		}
	}
	a, err := run(c)
	if err != nil {
		a = asAPIError(err).response(c)
	}
	result := outcome{response: a, fault: fault.ID}
	if fault.ID != 0 && fault.After {
		var done bool
		if result, done = fault.apply(c, result); !done {
			fault.setRetryAfter(&result.response)
		}
	}
	return result
}
