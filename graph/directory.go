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

// User is what the directory says of a mailbox's owner (resources/user). All of it is
// text from outside.
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

// userFields are those of User; proxyAddresses come only when they are selected.
const userFields = "id,userPrincipalName,mail,proxyAddresses,displayName,givenName,surname,jobTitle,department,companyName," +
	"officeLocation,businessPhones,mobilePhone,faxNumber,streetAddress,postalCode,city,state,country"

// ErrNoUser: nobody in the directory has the address.
var ErrNoUser = errors.New("nobody in the directory has the address")

// FindUser finds whose address it is: sign-in name, primary address or alias. It needs
// User.Read.All. The case of the prefix in proxyAddresses says which one is primary; both
// are asked for, since Microsoft does not say whether eq heeds case.
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
	// One may have as sign-in name what another has as address: the address counts.
	i := max(slices.IndexFunc(list.Value, func(u User) bool { return u.has(address) }), 0)
	u := list.Value[i]
	if u.ID == "" || strings.ContainsAny(u.ID, "/?#%\\") || len(u.ID) > 100 {
		return User{}, reply, unreadable(r.op, reply, errors.New("the user has no usable id"))
	}
	return u, reply, nil
}

// has tells whether mail for the address comes to the user.
func (u User) has(address string) bool {
	return strings.EqualFold(u.Mail, address) ||
		slices.ContainsFunc(u.ProxyAddresses, func(p string) bool { return strings.EqualFold(p, "smtp:"+address) })
}
