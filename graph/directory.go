package graph

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"graphrelay/internal/mailaddr"
)

const opFindUser = "find_user"

// User is an entry of the directory (resources/user). All of it is untrusted text.
type User struct {
	ID                string   `json:"id"` // object ID
	UserPrincipalName string   `json:"userPrincipalName"`
	Mail              string   `json:"mail"` // the primary address
	ProxyAddresses    []string `json:"proxyAddresses"`
	DisplayName       string   `json:"displayName"`
	GivenName         string   `json:"givenName"`
	Surname           string   `json:"surname"`
	JobTitle          string   `json:"jobTitle"`
	Department        string   `json:"department"`
	CompanyName       string   `json:"companyName"`
	OfficeLocation    string   `json:"officeLocation"`
	BusinessPhones    []string `json:"businessPhones"`
	MobilePhone       string   `json:"mobilePhone"`
	FaxNumber         string   `json:"faxNumber"`
	StreetAddress     string   `json:"streetAddress"`
	PostalCode        string   `json:"postalCode"`
	City              string   `json:"city"`
	State             string   `json:"state"`
	Country           string   `json:"country"`
}

// userFields selects the fields of User. Graph returns some, such as proxyAddresses, only
// if they are selected.
const userFields = "id,userPrincipalName,mail,proxyAddresses,displayName,givenName,surname,jobTitle,department,companyName," +
	"officeLocation,businessPhones,mobilePhone,faxNumber,streetAddress,postalCode,city,state,country"

// ErrNoUser means that no user of the directory has the address.
var ErrNoUser = errors.New("no user of the directory has the address")

// ErrNotAsked means that the directory cannot be asked about an address of this length.
var ErrNotAsked = errors.New("the address is too long to look up in the directory")

// maxFilterValue is the longest value, in bytes, that a filter of the directory may compare
// with (Entra known issues: 120 characters).
const maxFilterValue = 120

// FindUser returns the user with this address as sign-in name, primary address or alias
// (user-list). It needs User.Read.All. It returns ErrNoUser if there is none, and
// ErrNotAsked if the address is too long to ask about.
//
// If the directory refuses to compare several properties in one request, FindUser makes a
// request for each, from then on at once.
func (c *Client) FindUser(ctx context.Context, address string) (User, Reply, error) {
	conditions := userConditions(address)
	if len("smtp:"+address) > maxFilterValue {
		return User{}, Reply{}, ErrNotAsked
	}
	if !c.oneConditionOnly.Load() {
		u, reply, err := c.findUser(ctx, strings.Join(conditions, " or "), address)
		if !isBadRequest(err) {
			return u, reply, err
		}
	}
	for _, condition := range conditions {
		u, reply, err := c.findUser(ctx, condition, address)
		if !errors.Is(err, ErrNoUser) {
			if err == nil {
				c.oneConditionOnly.Store(true)
			}
			return u, reply, err
		}
	}
	c.oneConditionOnly.Store(true) // all were answered
	return User{}, Reply{}, ErrNoUser
}

// userConditions returns filters of which one matches the user with the address. In
// proxyAddresses the primary address begins with "SMTP:" and an alias with "smtp:";
// Microsoft does not document whether eq ignores case there.
func userConditions(address string) []string {
	a := strings.ReplaceAll(address, "'", "''")
	return []string{"userPrincipalName eq '" + a + "'", "mail eq '" + a + "'",
		"proxyAddresses/any(p:p eq 'smtp:" + a + "')", "proxyAddresses/any(p:p eq 'SMTP:" + a + "')"}
}

func isBadRequest(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusBadRequest
}

func (c *Client) findUser(ctx context.Context, filter, address string) (User, Reply, error) {
	r := &request{op: opFindUser, method: http.MethodGet, path: "/users", success: []int{http.StatusOK},
		query: url.Values{"$filter": {filter}, "$select": {userFields}, "$top": {"5"}}}
	var list struct {
		Value []User `json:"value"`
	}
	reply, err := c.call(ctx, r, &list)
	switch {
	case err != nil:
		return User{}, reply, err
	case list.Value == nil:
		return User{}, reply, unreadable(r.op, reply, errNoList)
	case len(list.Value) == 0:
		return User{}, reply, ErrNoUser
	}
	// The address may be one user's sign-in name and another one's address. The latter gets
	// the mail.
	i := slices.IndexFunc(list.Value, func(u User) bool { return u.has(address) })
	if i < 0 {
		i = slices.IndexFunc(list.Value, func(u User) bool { return mailaddr.Same(u.UserPrincipalName, address) })
	}
	if i < 0 { // the filter was ignored: mail must not go through a mailbox that has nothing to do with it
		return User{}, reply, unreadable(r.op, reply, errors.New("the users in the answer do not have the address that was asked for"))
	}
	u := list.Value[i]
	if u.ID == "" || strings.ContainsAny(u.ID, "/?#%\\") || len(u.ID) > 100 {
		return User{}, reply, unreadable(r.op, reply, errors.New("the user has no usable id"))
	}
	return u, reply, nil
}

// has reports whether the user receives mail for the address.
func (u User) has(address string) bool {
	return mailaddr.Same(u.Mail, address) || slices.ContainsFunc(u.ProxyAddresses, func(p string) bool {
		kind, proxy, _ := strings.Cut(p, ":")
		return strings.EqualFold(kind, "smtp") && mailaddr.Same(proxy, address)
	})
}
