package connection

// Rights returns the permissions that a token for Graph names, and whether it shows its claims.
// What RBAC for Applications gives is not among them.
func Rights(token string) (rights []string, readable bool) {
	return permissions(token), isReadable(token)
}
