package graph

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
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

// FindUser returns the user with this address as sign-in name, primary address or alias
// (user-list). It needs User.Read.All. It returns ErrNoUser if there is none.
//
// In proxyAddresses the primary address begins with "SMTP:" and an alias with "smtp:". The
// filter has both, since Microsoft does not document whether eq ignores case there.
func (c *Client) FindUser(ctx context.Context, address string) (User, Reply, error) {
	a := strings.ReplaceAll(address, "'", "''")
	filter := "userPrincipalName eq '" + a + "' or mail eq '" + a + "' or proxyAddresses/any(p:p eq 'smtp:" + a + "') or proxyAddresses/any(p:p eq 'SMTP:" + a + "')"
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
	i := max(slices.IndexFunc(list.Value, func(u User) bool { return u.has(address) }), 0)
	u := list.Value[i]
	if u.ID == "" || strings.ContainsAny(u.ID, "/?#%\\") || len(u.ID) > 100 {
		return User{}, reply, unreadable(r.op, reply, errors.New("the user has no usable id"))
	}
	return u, reply, nil
}

// has reports whether the user receives mail for the address.
func (u User) has(address string) bool {
	return strings.EqualFold(u.Mail, address) ||
		slices.ContainsFunc(u.ProxyAddresses, func(p string) bool { return strings.EqualFold(p, "smtp:"+address) })
}
